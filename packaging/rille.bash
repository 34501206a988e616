# rille.bash -- completion of rille's command line in bash. The options are asked of the program itself.

_rille_options() {
  local help
  help=$("$@" --help 2>/dev/null)
  printf '%s\n' "$help" | grep -E '^ +-' | sed 's/  [a-z].*$//' | sed 's/--\[no-\]\([a-z-]*\)/--\1 --no-\1/g' |
    grep -oE -- '--?[A-Za-z][A-Za-z-]*=?'
}

_rille() {
  local program=$1 word=$2 before=$3 command= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      -e | -l) i=$((i + 1)) ;;
      -*) ;;
      *) command=${COMP_WORDS[i]} && break ;;
    esac
  done
  COMPREPLY=()
  compopt -o filenames 2>/dev/null
  case $command:$word in
    :-*) mapfile -t COMPREPLY < <(compgen -W "$(_rille_options "$program")" -- "$word") ;;
    test:-* | build:-*)
      mapfile -t COMPREPLY < <(compgen -W "$(_rille_options "$program" "$command")" -- "$word")
      ;;
    :*)
      [[ $before = -[el] ]] && return
      mapfile -t COMPREPLY < <(compgen -W 'test build' -- "$word"; compgen -d -- "$word"; compgen -f -X '!*.lua' -- "$word")
      ;;
    *) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
  esac
  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} = *= ]] && compopt -o nospace
}

complete -F _rille rille
