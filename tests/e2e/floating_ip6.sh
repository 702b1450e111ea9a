#!/bin/bash
# The same as floating_ip, with an address of IPv6.
# shellcheck source=/dev/null disable=SC2034
FAMILY=6
. "$(dirname "$0")/floating_ip.sh"
