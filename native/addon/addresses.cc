#include "addresses.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "../shared/fd.h"
#include "result.h"

namespace boxctl {
namespace {

constexpr size_t kMostAnswer = 32 * 1024;
// Where addresses change meanwhile, the answer may lack some: it is asked for again.
constexpr int kTries = 8;

// The name is filled in. False: it is down, or gone meanwhile.
bool is_up(int socket, uint32_t index, ifreq& interface) {
  interface.ifr_ifindex = static_cast<int>(index);
  if (ioctl(socket, SIOCGIFNAME, &interface) != 0 || ioctl(socket, SIOCGIFFLAGS, &interface) != 0) return false;
  constexpr int kWanted = IFF_UP | IFF_RUNNING;
  return (interface.ifr_flags & kWanted) == kWanted;
}

void add_address(const Napi::Env& env, int socket, const nlmsghdr* message, Napi::Array& to) {
  const auto* const about = static_cast<const ifaddrmsg*>(NLMSG_DATA(message));
  auto left = static_cast<int>(IFA_PAYLOAD(message));
  const void* address = nullptr;
  for (const rtattr* one = IFA_RTA(about); RTA_OK(one, left); one = RTA_NEXT(one, left)) {
    // IFA_ADDRESS is the other end's where there is one.
    if (one->rta_type == IFA_LOCAL || (one->rta_type == IFA_ADDRESS && address == nullptr)) address = RTA_DATA(one);
  }
  ifreq interface = {};
  char text[INET6_ADDRSTRLEN];
  if (address == nullptr || !is_up(socket, about->ifa_index, interface)) return;
  if (inet_ntop(about->ifa_family, address, text, sizeof text) == nullptr) return;
  Napi::Object found = Napi::Object::New(env);
  found.Set("device", Napi::String::New(env, interface.ifr_name));
  found.Set("address", Napi::String::New(env, text));
  to.Set(to.Length(), found);
}

long ask(int socket) {
  struct {
    nlmsghdr header;
    ifaddrmsg about;
  } question = {};
  question.header.nlmsg_len = sizeof question;
  question.header.nlmsg_type = RTM_GETADDR;
  question.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  return negate(send(socket, &question, sizeof question, 0));
}

// Adds the addresses. -EAGAIN: some have changed meanwhile.
long read_answer(const Napi::Env& env, int socket, Napi::Array& to) {
  alignas(nlmsghdr) static char buffer[kMostAnswer];
  bool changed = false;
  for (;;) {
    const long got = negate(recv(socket, buffer, sizeof buffer, 0));
    if (got == -EINTR) continue;
    if (got < 0) return got;
    auto left = static_cast<unsigned>(got);
    for (const auto* one = reinterpret_cast<const nlmsghdr*>(buffer); NLMSG_OK(one, left);
         one = NLMSG_NEXT(one, left)) {
      changed = changed || (one->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
      if (one->nlmsg_type == NLMSG_DONE) return changed ? -EAGAIN : 0;
      if (one->nlmsg_type == NLMSG_ERROR) return static_cast<const nlmsgerr*>(NLMSG_DATA(one))->error;
      if (one->nlmsg_type == RTM_NEWADDR) add_address(env, socket, one, to);
    }
  }
}

}  // namespace

Napi::Value interface_addresses(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Fd netlink(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!netlink.valid()) return fail(env, "socket", errno);
  for (int tries = 1;; tries++) {
    Napi::Array all = Napi::Array::New(env);
    long result = ask(netlink.get());
    if (result >= 0) result = read_answer(env, netlink.get(), all);
    if (result == 0 || (result == -EAGAIN && tries == kTries)) return all;
    if (result != -EAGAIN) return fail(env, "recv", static_cast<int>(-result));
  }
}

}  // namespace boxctl
