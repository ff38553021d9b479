# shellcheck shell=bash
# Completion of quire's command line in bash. Flags and their choices are read from `quire COMMAND
# --help` each time, so this file cannot fall behind the binary.

# Prints the flags of a --help text, one per line, without those that are aliases of one letter.
_quire_flags() { grep -oE '^  (-h,)?--[a-z0-9-]+' | grep -oE -- '--[a-z0-9-]+'; }

# Prints what stands after one flag in a --help text, as "auto|cpu", "TEXT:{a,b}" or "FILE"; nothing
# for a flag that takes no value (two spaces follow it).
_quire_takes() {
  awk -v flag="$1" '$1 == flag && index($0, "  " flag "  ") != 1 { print $2; exit }'
}

_quire() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local program=${COMP_WORDS[0]} command=${COMP_WORDS[1]}
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "serve plan bench health --version --help" -- "$word")
    return
  fi
  local help takes
  help=$("$program" "$command" --help 2>/dev/null) || return 0
  if [[ $before == --* && $word != -* ]]; then
    takes=$(_quire_takes "$before" <<<"$help")
    case $takes in
      *FILE* | *DIR*) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
      *"{"*"}"*)
        takes=${takes#*\{}
        takes=${takes%%\}*}
        mapfile -t COMPREPLY < <(compgen -W "${takes//,/ }" -- "$word")
        ;;
      *"|"*) mapfile -t COMPREPLY < <(compgen -W "${takes//|/ }" -- "$word") ;;
    esac
    # What is left, as N or SIZE, cannot be guessed.
    [[ -n $takes ]] && return
  fi
  mapfile -t COMPREPLY < <(compgen -W "$(_quire_flags <<<"$help")" -- "$word")
}
complete -o filenames -F _quire quire
