# The job: tests that see the sources, cannot change them, and cannot reach a network.
set -eu
failures=0
check() {
  if eval "$2"; then
    echo "ok      $1"
  else
    echo "FAILED  $1"
    failures=$((failures + 1))
  fi
}

check 'the sources are there'            '[ -f words.txt ]'
check 'the words are sorted'             'sort -c words.txt'
check 'the sources cannot be changed'    '! (echo >>words.txt) 2>/dev/null'
check 'the root cannot be written to'    '! mkdir /new 2>/dev/null'
check 'there is a /tmp'                  'echo >/tmp/file'
check 'the only interface is lo'         '[ "$(ls /sys/class/net)" = lo ]'
exit "$failures"
