// The addresses of this host's interfaces.
#pragma once

#include <napi.h>

namespace boxctl {

// interfaceAddresses(without): lines of a name and an address in hex digits (native/shared/interface_addresses.h), as
// of getifaddrs(3). That asks for the interfaces as well, and the kernel answers only while no interface is added or
// removed.
Napi::Value interface_addresses(const Napi::CallbackInfo& info);

}  // namespace boxctl
