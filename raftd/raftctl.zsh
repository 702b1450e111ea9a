#compdef raftctl
# Completion of raftctl for zsh: commands, their options, and keys of this node. Which commands and options there
# are, raftctl's own help says.

local command help i
local -a global
for ((i = 2; i < CURRENT; i++)); do
    case $words[i] in
    -c | --conf | -i | --id | -s | --socket | --timeout)
        global+=($words[i] $words[i+1])
        ((++i))
        ;;
    -*) ;;
    *) command=$words[i] && break ;;
    esac
done
case $words[CURRENT-1] in
-c | --conf | -s | --socket) _files && return ;;
-i | --id | --timeout) return ;;
esac
help=$(raftctl help $command 2>/dev/null)
if [[ $PREFIX == -* ]]; then
    compadd -- ${(fu)"$(print -r -- $help | grep -oE -- '--[a-z][a-z-]*')"}
elif [[ -z $command || $command == help ]]; then
    compadd -- help ${(f)"$(raftctl help | sed -n '/^commands:/,/^$/s/^  \([a-z][a-z-]*\).*/\1/p')"}
elif [[ ${help%%$'\n'*} == *(KEY|PREFIX)* ]]; then
    # What is printed with escapes would need --escaped.
    compadd -- ${(f)"$(raftctl $global --timeout 1 list --stale --keys -- $PREFIX 2>/dev/null | head -n 200 |
        grep -vF '\')"}
fi
