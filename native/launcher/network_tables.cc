#include "network_tables.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <utility>

#include "netlink_attributes.h"

namespace boxctl {
namespace {

// Changes that are taken from the socket before the question is asked.
constexpr int kMostChanges = 64;
constexpr size_t kMaxAnswer = 512;

constexpr char kName[] = "boxctl-launcher";
static_assert(sizeof kName == 16, "the kernel cuts longer names off");

constexpr uint32_t word(const char* text) {
  uint32_t value = 0;
  for (int i = 0; i < 4; i++) value = value << 8 | static_cast<uint8_t>(text[i]);
  return value;
}

// The end of a transaction (NFT_MSG_NEWGEN): its attributes are the number of the generation, the process and its name.
constexpr uint32_t kNameAt = NLMSG_HDRLEN + sizeof(nfgenmsg) + 2 * (NLA_HDRLEN + sizeof(uint32_t)) + NLA_HDRLEN;

// Drops all other messages, and those of launchers: each start of a container would wake all of them. A message that
// ends before a word that is loaded is dropped.
long take_ends_only(int fd) {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(nlmsghdr, nlmsg_type)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN), 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNameAt),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, word(kName), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNameAt + 4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, word(kName + 4), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
  };
  const sock_fprog filter = {sizeof program / sizeof *program, program};
  return negate(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter));
}

}  // namespace

long NetworkTables::watch(uint16_t socket, const Arg& question) {
  // By a descriptor that was executed, its name would be a number.
  prctl(PR_SET_NAME, kName, 0, 0, 0);
  Fd changes(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER));
  if (!changes.valid()) return -errno;
  if (const long error = take_ends_only(changes.get()); error != 0) return error;
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  address.nl_groups = 1U << (NFNLGRP_NFTABLES - 1);
  if (bind(changes.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -errno;
  changes_ = std::move(changes);
  socket_ = socket;
  question_ = question;
  return 0;
}

// What has changed is of no use, nor that messages were lost (ENOBUFS).
void NetworkTables::on_change(short) {
  char byte;
  for (int i = 0; i < kMostChanges && (recv(changes_.get(), &byte, 1, 0) >= 0 || errno == ENOBUFS); i++) {
  }
  worked_ = true;
  uint64_t found;
  // One that is gone may have been made again, and removed once more before it was asked for below.
  if (!find(found) || (found == known_ && found != kGone)) return;
  for (uint32_t i = 0; i < plan_.steps; i++) {
    const Step current = step(plan_, i);
    // Another launcher may have made the table already, without what this one adds to it.
    if (current.mends && (found == kGone || current.call.op != Op::kNetlinkOnce)) perform(context_, current.call);
  }
  if (found != kGone || find(found)) known_ = found;
}

// Asks for the table. False: there is no answer.
bool NetworkTables::find(uint64_t& handle) const {
  const int fd = context_.slots[socket_];
  if (fd < 0 || send(fd, question_.list, question_.list_size, MSG_NOSIGNAL) < 0) return false;
  uint8_t answer[kMaxAnswer];
  const ssize_t got = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
  nlmsghdr header;
  if (got < static_cast<ssize_t>(sizeof header + sizeof(nlmsgerr))) return false;
  memcpy(&header, answer, sizeof header);
  if (header.nlmsg_type == NLMSG_ERROR) {
    nlmsgerr error;
    memcpy(&error, answer + sizeof header, sizeof error);
    handle = kGone;
    return error.error == -ENOENT;
  }
  constexpr size_t kBefore = sizeof header + sizeof(nfgenmsg);
  Attributes attributes(answer + kBefore, static_cast<size_t>(got) - kBefore);
  if (!attributes.find(NFTA_TABLE_HANDLE) || attributes.length() != sizeof handle) return false;
  memcpy(&handle, attributes.value(), sizeof handle);
  return true;
}

}  // namespace boxctl
