// Functions behind macros of the headers, which the compiler calls where it does not inline them.
#include <sys/socket.h>
#include <sys/sysmacros.h>

extern "C" {

// 12 bits of the major number and 8 of the minor one come first, and the rest above them.
unsigned gnu_dev_major(dev_t device) noexcept {
  return static_cast<unsigned>((device >> 8 & 0xfff) | (device >> 32 & 0xffff'f000));
}
unsigned gnu_dev_minor(dev_t device) noexcept {
  return static_cast<unsigned>((device & 0xff) | (device >> 12 & 0xffff'ff00));
}
dev_t gnu_dev_makedev(unsigned major, unsigned minor) noexcept {
  const dev_t one = major;
  const dev_t other = minor;
  return (one & 0xfff) << 8 | (one & 0xffff'f000) << 32 | (other & 0xff) | (other & 0xffff'ff00) << 12;
}

// The next of a message's control data; null where this one's length is wrong, or the next one's header would reach
// past the end.
cmsghdr* __cmsg_nxthdr(msghdr* message, cmsghdr* control) noexcept {
  if (control->cmsg_len < sizeof(cmsghdr)) return nullptr;
  char* const end = static_cast<char*>(message->msg_control) + message->msg_controllen;
  const auto left = end - reinterpret_cast<char*>(control);
  const size_t next = CMSG_ALIGN(control->cmsg_len);
  if (left < 0 || next < control->cmsg_len || static_cast<size_t>(left) < next + sizeof(cmsghdr)) return nullptr;
  return reinterpret_cast<cmsghdr*>(reinterpret_cast<char*>(control) + next);
}

}  // extern "C"
