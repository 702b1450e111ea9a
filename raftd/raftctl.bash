# shellcheck shell=bash
# Completion of raftctl for bash: commands, their options, and keys of this node. Which commands and options there
# are, raftctl's own help says.

_raftctl() {
    local line=${COMP_LINE:0:COMP_POINT} before=${COMP_WORDS[COMP_CWORD - 1]} global=() command='' help i cur split
    cur=${line##*[[:space:]]} # not COMP_WORDS, which are split at colons, too
    split=${cur%"${cur##*[:=]}"}
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -c | --conf | -i | --id | -s | --socket | --timeout)
            global+=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}")
            ((++i))
            ;;
        -*) ;;
        *) command=${COMP_WORDS[i]} && break ;;
        esac
    done
    case $before in
    -c | --conf | -s | --socket | --file) mapfile -t COMPREPLY < <(compgen -f -- "$cur") && return ;;
    -i | --id | --timeout) return ;;
    esac
    help=$(raftctl help ${command:+"$command"} 2>/dev/null) || help=
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(grep -oE -- '--[a-z][a-z-]*' <<<"$help" | sort -u)
    elif [[ -z $command || $command == help ]]; then
        mapfile -t COMPREPLY < <(raftctl help | sed -n '/^commands:/,/^$/s/^  \([a-z][a-z-]*\).*/\1/p')
        COMPREPLY+=(help)
    elif [[ ${help%%$'\n'*} =~ KEY|PREFIX ]]; then
        # What is printed with escapes would need --escaped, and quotes.
        mapfile -t COMPREPLY < <(raftctl "${global[@]}" --timeout 1 list --stale --keys -- "$cur" 2>/dev/null |
            head -n 200 | grep -vF "\\" | while IFS= read -r key; do printf '%q\n' "$key"; done)
    fi
    mapfile -t COMPREPLY < <(printf '%s\n' "${COMPREPLY[@]}" | while IFS= read -r i; do
        [[ $i == "$cur"* ]] && printf '%s\n' "${i#"$split"}"
    done)
}

complete -F _raftctl raftctl
