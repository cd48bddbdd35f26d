# Shows, from inside, what makes this a container.
echo "$GREETING"
echo "  host name   $(cat /proc/sys/kernel/hostname)"
echo "  process id  $$"

echo "  processes"
for process in /proc/[0-9]*; do
  # Those of the subshells above may have ended by now.
  name=$(cat "$process/comm" 2>/dev/null) || continue
  echo "              ${process#/proc/} $name"
done

echo "  user        uid $(id -u)"
while read -r inside outside count; do
  if [ "$count" = 1 ]; then
    echo "              $inside is $outside outside"
  else
    echo "              $inside to $((inside + count - 1)) are $outside to $((outside + count - 1)) outside"
  fi
done </proc/self/uid_map

echo "  limits"
limits=none
for file in memory/memory.limit_in_bytes memory.max pids/pids.max pids.max; do
  [ -r "/sys/fs/cgroup/$file" ] || continue
  echo "              ${file##*/} $(cat "/sys/fs/cgroup/$file")"
  limits=some
done
if [ "$limits" = none ]; then
  echo "              none: this user has no cgroup to set them in"
fi

echo "  files       $(echo /*)"
