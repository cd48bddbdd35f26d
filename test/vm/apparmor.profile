# What test/vm/apparmor.test.ts runs containers under: everything is allowed, but a file, a folder and a kind of socket.
abi <abi/3.0>,

profile boxctl-test flags=(attach_disconnected) {
  capability,
  file,
  network inet stream,
  network unix,
  signal,
  deny /etc/passwd r,
  deny /refused/** w,
}
