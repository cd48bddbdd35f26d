# Counts, until it is asked to end.
trap 'echo "the end, $(cat /run/counter/state)"; exit 0' TERM
echo 'ready'
echo ready >/run/ready
n=0
while :; do
  n=$((n + 1))
  echo "$n"
  sleep 1 &
  wait $!
done
