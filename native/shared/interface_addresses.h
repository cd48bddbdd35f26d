// The addresses of the host's interfaces, as text: what Node plans by, and native/front compares.
#pragma once

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "fd.h"
#include "list.h"

namespace boxctl {

// Whether the word is the prefix and a number: the name of an interface of boxctl's own.
inline bool is_numbered(const char* word, size_t size, const char* prefix) {
  const size_t head = strlen(prefix);
  if (size <= head || memcmp(word, prefix, head) != 0) return false;
  for (size_t i = head; i < size; i++) {
    if (word[i] < '0' || word[i] > '9') return false;
  }
  return true;
}

// Lines of a name, a space and an address in hex digits, and ` idle` where the interface is down or has no carrier.
class InterfaceAddresses {
 public:
  // Interfaces whose names are the prefix and a number are left out.
  explicit InterfaceAddresses(const char* without) : without_(without) {}

  // 0 or -errno. -EAGAIN: they go on changing, and some may be missing.
  long read() {
    const Fd netlink(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!netlink.valid()) return -errno;
    for (int tries = 1;; tries++) {
      text_.clear();
      long result = ask(netlink.get());
      if (result >= 0) result = read_answer(netlink.get());
      if (result != -EAGAIN || tries == kTries) return result;
    }
  }
  const List<char>& text() const { return text_; }

 private:
  static constexpr size_t kMostAnswer = 32 * 1024;
  static constexpr int kTries = 8;

  static long ask(int socket) {
    struct {
      nlmsghdr header;
      ifaddrmsg about;
    } question = {};
    question.header.nlmsg_len = sizeof question;
    question.header.nlmsg_type = RTM_GETADDR;
    question.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    return negate(send(socket, &question, sizeof question, 0));
  }

  // -EAGAIN: some have changed meanwhile, and the answer may lack them.
  long read_answer(int socket) {
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
        if (one->nlmsg_type == RTM_NEWADDR && !add(socket, one)) return -ENOMEM;
      }
    }
  }

  // False: it is gone meanwhile.
  static bool find(int socket, uint32_t index, char* name, bool& is_idle) {
    ifreq interface = {};
    interface.ifr_ifindex = static_cast<int>(index);
    if (ioctl(socket, SIOCGIFNAME, &interface) != 0) return false;
    memcpy(name, interface.ifr_name, sizeof interface.ifr_name);
    if (ioctl(socket, SIOCGIFFLAGS, &interface) != 0) return false;
    constexpr int kWanted = IFF_UP | IFF_RUNNING;
    is_idle = (interface.ifr_flags & kWanted) != kWanted;
    return true;
  }

  bool add(int socket, const nlmsghdr* message) {
    const auto* const about = static_cast<const ifaddrmsg*>(NLMSG_DATA(message));
    auto left = static_cast<int>(IFA_PAYLOAD(message));
    const uint8_t* address = nullptr;
    for (const rtattr* one = IFA_RTA(about); RTA_OK(one, left); one = RTA_NEXT(one, left)) {
      // IFA_ADDRESS is the other end's where there is one.
      if (one->rta_type == IFA_LOCAL || (one->rta_type == IFA_ADDRESS && address == nullptr)) {
        address = static_cast<const uint8_t*>(RTA_DATA(one));
      }
    }
    char name[IFNAMSIZ];
    bool is_idle;
    if (address == nullptr || !find(socket, about->ifa_index, name, is_idle)) return true;
    const size_t size = strlen(name);
    if (is_numbered(name, size, without_)) return true;
    if (!text_.add(name, size) || !text_.add(' ')) return false;
    for (size_t i = 0; i < (about->ifa_family == AF_INET ? 4U : 16U); i++) {
      if (!text_.add("0123456789abcdef"[address[i] >> 4]) || !text_.add("0123456789abcdef"[address[i] & 15]))
        return false;
    }
    constexpr char kIdle[] = " idle";
    return (!is_idle || text_.add(kIdle, sizeof kIdle - 1)) && text_.add('\n');
  }

  const char* without_;
  List<char> text_;
};

}  // namespace boxctl
