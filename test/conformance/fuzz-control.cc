// Plays later commands of boxctl that are hostile to the launcher's control socket: they connect, send orders, other
// bytes, half messages and descriptors, take nothing, and go, in any order, while the launcher sends them what the
// command has written. The input is the list of what happens.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../native/launcher/console.h"
#include "../../native/launcher/control.h"
#include "../../native/launcher/plan.h"

namespace {

using boxctl::Fd;
using boxctl::Order;
using boxctl::Record;

// One more than there is room for waits in the backlog.
constexpr size_t kClients = boxctl::Control::kMostClients + 1;
constexpr size_t kMostBytes = 5000;
constexpr size_t kMostTurns = 4096;

void require(bool condition) {
  if (!condition) abort();
}

char folder[] = "/tmp/fuzz-control-XXXXXX";
int folder_fd = -1;
char scratch[1 << 17];

void prepare() {
  if (folder_fd >= 0) return;
  // The launcher blocks it: the command may close what it reads.
  require(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
  require(mkdtemp(folder) != nullptr);
  folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  require(folder_fd >= 0);
  atexit([] { rmdir(folder); });
}

int open_descriptors() {
  int count = 0;
  for (int fd = 0; fd < 128; fd++) count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

struct Client {
  Fd fd;
  bool deaf = false;   // it has shut down what comes to it
  uint64_t asked = 0;  // pieces of input that it has sent
  uint64_t told = 0;   // of which it was told that the command's input has taken them
};

class World {
 public:
  World() : console_(log_, control_) {
    require(log_.keep_nothing() == 0);
    int ends[2];
    require(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    command_ = Fd(ends[0]);
    require(console_.add(0, Fd(ends[1])));
    require(pipe2(ends, O_CLOEXEC) == 0);
    passed_ = Fd(ends[0]);
    passes_ = Fd(ends[1]);
    always_ = Fd(eventfd(1, EFD_CLOEXEC));
    control_.start(getuid(), this, take_order, &console_);
    require(control_.listen(folder_fd, "control") == 0);
  }
  ~World() { require(unlinkat(folder_fd, "control", 0) == 0); }

  void play(boxctl::Reader& in) {
    while (in.ok() && !in.done()) step(in);
    finish();
  }

 private:
  static void take_order(void* self, const Order& order) {
    auto* const world = static_cast<World*>(self);
    // Those two are the sockets' own.
    require(order.kind != boxctl::kOrderAttach && order.kind != boxctl::kOrderInput);
    world->orders_++;
    require(world->orders_ <= world->whole_);
  }

  void step(boxctl::Reader& in) {
    const uint8_t what = in.u8();
    Client& client = clients_[in.u8() % kClients];
    switch (what % 12) {
      case 0:
        return connect_one(client);
      case 1:
        return send_any(client, in, 0);
      case 2:
        return send_any(client, in, 1 + what / 12 % 3);
      case 3:
        client = Client();
        return;
      case 4:
        client.deaf = client.deaf || what / 12 % 2 != 0;
        shutdown(client.fd.get(), what / 12 % 2 == 0 ? SHUT_WR : SHUT_RD);
        return;
      case 5:
        read_some(client);
        return;
      case 6:
        return output(in);
      case 7:
        return control_.tell({boxctl::Event::kHealth, 0, 0, 0, 0, 0});
      case 8:
        return turn();
      case 9:
        if (read(command_.get(), scratch, 1 + in.u16()) > 0) return;
        return;
      case 10:
        return command_.reset();
      default:
        return send_input(client, in);
    }
  }

  static void connect_one(Client& client) {
    if (client.fd.valid()) return;
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/control", folder);
    client.fd = Fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    require(connect(client.fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }

  // A message of any size, which begins with an order that may be known, and descriptors with it.
  void send_any(Client& client, boxctl::Reader& in, int count) {
    char bytes[kMostBytes] = {};
    const Order order = {in.u8() % 10U, in.u32()};
    const size_t size = in.u16() % sizeof bytes;
    memcpy(bytes, &order, sizeof order);
    if (size == sizeof order) whole_++;
    send_message(client, bytes, size, count);
  }

  void send_input(Client& client, boxctl::Reader& in) {
    char bytes[kMostBytes] = {};
    const Order order = {boxctl::kOrderInput, in.u16() % 4200U};
    memcpy(bytes, &order, sizeof order);
    send_message(client, bytes, sizeof order + order.value, 0);
  }

  void send_message(Client& client, char* bytes, size_t size, int count) const {
    iovec part = {bytes, size};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char space[CMSG_SPACE(3 * sizeof(int))] = {};
    if (count > 0) {
      message.msg_control = space;
      message.msg_controllen = CMSG_SPACE(static_cast<size_t>(count) * sizeof(int));
      cmsghdr* const head = CMSG_FIRSTHDR(&message);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN(static_cast<size_t>(count) * sizeof(int));
      const int fds[] = {passes_.get(), passes_.get(), passes_.get()};
      memcpy(CMSG_DATA(head), fds, static_cast<size_t>(count) * sizeof(int));
    }
    if (sendmsg(client.fd.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return;
    uint32_t kind;
    memcpy(&kind, bytes, sizeof kind);
    if (kind == boxctl::kOrderInput) client.asked++;
  }

  // False: there is nothing more.
  static bool read_some(Client& client) {
    const ssize_t size = recv(client.fd.get(), scratch, sizeof scratch, MSG_DONTWAIT);
    if (size <= 0) return false;
    require(static_cast<size_t>(size) > sizeof(Order));
    boxctl::Event kind;
    memcpy(&kind, scratch, sizeof kind);
    if (kind != boxctl::Event::kOutput) require(size == sizeof(Record));
    if (kind == boxctl::Event::kInputTaken) client.told++;
    require(client.told <= client.asked);
    return true;
  }
  static bool is_cut_off(const Client& client) {
    char byte;
    return recv(client.fd.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0 || errno != EAGAIN;
  }

  void output(boxctl::Reader& in) {
    const size_t size = 1 + in.u16();
    if (control_.behind()) return;
    memset(scratch, 'x', size);
    control_.output(in.u8() % 2 == 0 ? boxctl::Stream::kOut : boxctl::Stream::kErr, scratch, size);
  }

  void turn() {
    poller_.clear();
    control_.add_sources(poller_);
    // Something has always happened: the harness never waits.
    poller_.add(always_.get(), POLLIN);
    require(poller_.wait() == 0);
    poller_.dispatch();
  }

  // Who takes everything gets everything: nobody is behind then, and nobody waits for the word that his input was
  // taken. No descriptor that was passed is held.
  void finish() {
    passes_.reset();
    for (size_t turns = 0, quiet = 0; quiet < 2 * kClients; turns++) {
      require(turns < kMostTurns);
      turn();
      quiet++;
      for (Client& client : clients_) {
        while (read_some(client)) quiet = 0;
      }
      while (read(command_.get(), scratch, sizeof scratch) > 0) quiet = 0;
    }
    require(!control_.behind());
    size_t connected = 0;
    for (const Client& client : clients_) connected += client.fd.valid() && !is_cut_off(client);
    for (const Client& client : clients_) {
      // One of too many is not heard yet.
      if (connected == kClients || !client.fd.valid() || client.deaf || is_cut_off(client)) continue;
      require(client.told == client.asked);
    }
    for (Client& client : clients_) client = Client();
    for (size_t turns = 0; turns < 4 * kClients; turns++) turn();
    // Of the pipe that was passed nobody holds an end any more.
    pollfd end = {passed_.get(), POLLIN, 0};
    require(poll(&end, 1, 0) == 1 && (end.revents & POLLHUP) != 0);
  }

  boxctl::Log log_;
  boxctl::Control control_;
  boxctl::Console console_;
  boxctl::Poller poller_;
  Fd command_;  // what it reads
  Fd passed_, passes_;
  Fd always_;
  Client clients_[kClients];
  uint64_t whole_ = 0;
  uint64_t orders_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  prepare();
  const int before = open_descriptors();
  {
    World world;
    boxctl::Reader in(data, size);
    world.play(in);
  }
  require(open_descriptors() == before);
  return 0;
}
