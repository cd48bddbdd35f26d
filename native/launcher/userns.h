// A user namespace that nothing lives in, for the ids of a mount to be translated by.
#pragma once

namespace boxctl {

// Returns a descriptor of it, or -errno. The maps are what uid_map and gid_map are given (user_namespaces(7)).
long make_user_namespace(const char* uid_map, const char* gid_map);

}  // namespace boxctl
