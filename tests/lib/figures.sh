# shellcheck shell=bash
# figures.sh: what the benchmarks reckon with. Sourced after cluster.sh.

calc() { awk "BEGIN { printf(\"$1\", $2) }"; } # FORMAT EXPRESSION

value_of() { sed -n "s/.*\\b$1=\\([0-9.]*\\).*/\\1/p" <<<"$2" | head -n 1; } # KEY LINES

total() { # of one status key over all nodes
    local i n=0 one
    for i in $(up_nodes); do
        one=$(field "$i" "$1")
        n=$((n + ${one:-0}))
    done
    echo "$n"
}
