// The one thing that boxctl wants of systemd: a scope of its own with delegated controllers, for a user whose own
// cgroup belongs to somebody else (org.freedesktop.systemd1(5), "StartTransientUnit"; D-Bus specification 0.43).
#pragma once

namespace boxctl {

// Asks the service manager at the message bus `socket_path` to put this process into the new scope `unit`, waits until
// it has, and opens the scope's folder in the version 2 hierarchy that is mounted at `hierarchy`. Returns the
// descriptor or -errno: ECONNREFUSED or ENOENT where nobody listens, EACCES where the bus does not take us, EREMOTEIO
// where systemd says no, ETIMEDOUT where it says nothing, EXDEV where this process is not in the scope afterwards.
int start_transient_scope(const char* socket_path, const char* unit, const char* hierarchy);

}  // namespace boxctl
