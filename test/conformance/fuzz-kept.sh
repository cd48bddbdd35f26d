#!/bin/sh
# Kept plans of real starts, in the foreground, in the background and of an exec, into the folder that is given.
set -eu
corpus=$1
boxctl=$(cd "$(dirname "$0")/../../dist" && pwd)/boxctl
work=$(mktemp -d)
cd "$work"
mkdir -m 700 run
export BOXCTL_STORE="$work/store" XDG_RUNTIME_DIR="$work/run" HOME="$work" A=value B=other
cat >container.yaml <<'EOF'
name: fuzz-kept
image: {host_tools: [sh, sleep, 'true']}
command: [sh, -c, 'exec sleep 100']
stop_signal: SIGKILL
environment: [A, 'B=<${B}>', 'C=${A}-${B}']
EOF
for _ in 1 2 3; do
  "$boxctl" run --quiet -- true
  "$boxctl" up --quiet --detach >/dev/null
  "$boxctl" exec fuzz-kept true
  for plan in store/containers/*/exec-*; do [ ! -e "$plan" ] || tail -c +5 "$plan" >exec; done
  "$boxctl" down >/dev/null 2>&1
  sleep 0.1
done
# With a claim of addresses, on a network that nobody else has.
cat >network.yaml <<'EOF'
image: {host_tools: [sh, sleep, 'true']}
command: ['true']
network_mode: bridge
networks: [inner]
EOF
for _ in 1 2; do [ "$(id -u)" != 0 ] || unshare --net "$boxctl" up --quiet --allow all network.yaml; done
for plan in store/plans/*[0-9a-f]; do
  name=$corpus/$(basename "$plan")
  # The plan of an exec lies elsewhere. The fuzzer takes both as one.
  if [ -e "$plan.run" ]; then cp "$plan" "$plan.run" "$corpus"; else cat "$plan" exec >"$name"; fi
done
cd /
rm -rf "$work"
