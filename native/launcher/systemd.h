// The one thing that boxctl asks systemd for: a scope of its own with delegated controllers, for a user whose own
// cgroup belongs to somebody else (org.freedesktop.systemd1(5), "StartTransientUnit").
#pragma once

namespace boxctl {

// Asks the service manager at the message bus `socket_path` to put this process into the new scope `unit`, waits until
// it has, and opens the scope's folder in the version 2 hierarchy that is mounted at `hierarchy`. Returns the
// descriptor or -errno: ECONNREFUSED or ENOENT when nobody listens, EACCES when the bus does not accept this user,
// EREMOTEIO when systemd refuses, ETIMEDOUT when it does not answer, EXDEV when this process is not in the scope
// afterwards.
long start_transient_scope(const char* socket_path, const char* unit, const char* hierarchy);

}  // namespace boxctl
