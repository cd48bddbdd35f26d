// The launcher's control socket, without a container. Each way ends with status 0, or with the line that is not so.
//   control-main full      no descriptor is free when somebody connects
//   control-main word      somebody who is attached types while the socket to it is full of output
//   control-main health    the health changes again and again
//   control-main order     somebody sends an order, and goes without reading what was sent to it
//   control-main shortage  no descriptor is free for the time in which somebody who is attached has to read
//   control-main late      an order that had to wait for a descriptor begins a time
//   control-main half      somebody goes who was behind, in the turn in which the beginning of a line was read
//   control-main terminal  a command's terminal has more than is read at a time when the command ends
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <utility>

#include "../../../native/launcher/console.h"
#include "../../../native/launcher/control.h"

namespace {

using boxctl::Event;
using boxctl::Fd;
using boxctl::Order;
using boxctl::Record;

#define REQUIRE(condition) \
  if (!(condition)) exit((fprintf(stderr, "line %d: %s\n", __LINE__, #condition), 1))

int orders = 0;
// Of an order, in milliseconds; 0: orders begin none.
uint64_t order_time = 0;
boxctl::Timer order_timer;

struct Launcher {
  boxctl::Log log;
  boxctl::Control control;
  boxctl::Console console{log, control};
  boxctl::Poller poller;
  boxctl::Timer timer;
  bool is_late = false;

  Launcher() {
    unlink("socket");
    control.start(
        getuid(), nullptr,
        [](void*, const Order&) {
          orders++;
          if (order_time != 0) REQUIRE(order_timer.set(order_time));
        },
        &console);
    const Fd here(open(".", O_PATH | O_DIRECTORY));
    REQUIRE(log.keep_nothing() == 0 && control.listen(here.get(), "socket") == 0);
    REQUIRE(timer.set(1));
  }
  void on_time(short) { is_late = timer.expired(); }

  // The number of turns in this time, each of which something has happened in.
  int turns(uint64_t ms) {
    REQUIRE(timer.set(ms));
    is_late = false;
    int count = -1;
    for (; !is_late; count++) {
      poller.clear();
      control.add_sources(poller);
      poller.add<&Launcher::on_time>(timer.fd(), POLLIN, *this);
      REQUIRE(poller.wait() == 0);
      poller.dispatch();
    }
    return count;
  }
};

void connect_to_it(const Fd& client) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  strcpy(address.sun_path, "socket");
  REQUIRE(connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
}

Fd new_client() { return Fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0)); }

void send_order(const Fd& client, uint32_t kind, uint32_t value, const char* bytes = "") {
  char message[64];
  const Order order = {kind, value};
  memcpy(message, &order, sizeof order);
  memcpy(message + sizeof order, bytes, strlen(bytes));
  const size_t size = sizeof order + strlen(bytes);
  REQUIRE(send(client.get(), message, size, 0) == static_cast<ssize_t>(size));
}

void full() {
  Launcher launcher;
  const Fd first = new_client();
  const Fd second = new_client();
  connect_to_it(first);
  REQUIRE(launcher.turns(10) > 0);
  Fd spare(open("/dev/null", O_RDONLY));
  const rlimit none = {static_cast<rlim_t>(spare.get()) + 1, 4096};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  connect_to_it(second);
  send_order(second, boxctl::kOrderStop, 0);
  // It is waited for without a turn for each time that it cannot be accepted.
  REQUIRE(launcher.turns(300) <= 2);
  // Others are served meanwhile.
  send_order(first, boxctl::kOrderStop, 0);
  REQUIRE(launcher.turns(10) <= 2 && orders == 1);
  // A descriptor is free once what held it was handled.
  spare.reset();
  send_order(first, boxctl::kOrderStop, 0);
  REQUIRE(launcher.turns(10) <= 4 && orders == 3);
}

// The words that it was told, of everything that was sent to it.
int words_told(const Fd& client) {
  static char message[1 << 16];
  int words = 0;
  for (;;) {
    const ssize_t size = recv(client.get(), message, sizeof message, 0);
    if (size < static_cast<ssize_t>(sizeof(uint32_t))) return words;
    Event kind;
    memcpy(&kind, message, sizeof kind);
    words += kind == Event::kInputTaken;
  }
}

void word() {
  Launcher launcher;
  int pipes[2];
  REQUIRE(pipe2(pipes, O_NONBLOCK) == 0);
  const Fd reading(pipes[0]);
  REQUIRE(launcher.console.add(0, Fd(pipes[1])));
  const Fd client = new_client();
  connect_to_it(client);
  send_order(client, boxctl::kOrderAttach, 1);
  launcher.turns(10);
  static const char bytes[1 << 16] = {};
  while (!launcher.control.behind()) launcher.control.output(boxctl::Stream::kOut, bytes, sizeof bytes);
  send_order(client, boxctl::kOrderInput, 3, "one");
  launcher.turns(10);
  char typed[8];
  REQUIRE(read(reading.get(), typed, sizeof typed) == 3);
  int told = 0;
  while (launcher.control.behind()) {
    told += words_told(client);
    launcher.turns(1);
  }
  told += words_told(client);
  REQUIRE(told == 1);
  send_order(client, boxctl::kOrderInput, 3, "two");
  launcher.turns(10);
  REQUIRE(read(reading.get(), typed, sizeof typed) == 3 && words_told(client) == 1);
}

void health() {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  const Fd ours(ends[0]);
  boxctl::Events events(ends[1], true);
  const Fd file(open("events", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600));
  const Fd here(open(".", O_PATH | O_DIRECTORY));
  REQUIRE(events.keep_in(file.get(), here.get()) == 0);
  events.leave_owner();
  events.add({Event::kStarted, 7, 0, 8, 9, 10});
  constexpr uint64_t kChanges = 10'000;
  for (uint64_t i = 0; i < kChanges; i++) {
    events.add({Event::kHealth, 0, 0, 1, 0, i});
    events.flush();
  }
  events.add({Event::kExited, 0, 0, 3, 0, 11});
  events.flush();
  const Fd kept(open("events", O_RDONLY));
  struct stat status;
  REQUIRE(fstat(kept.get(), &status) == 0);
  const size_t count = static_cast<size_t>(status.st_size) / sizeof(Record);
  REQUIRE(count > boxctl::Events::kMostHealth / 2 && count <= boxctl::Events::kMostHealth + 2);
  Record record;
  for (size_t i = 0; i < count; i++) {
    REQUIRE(read(kept.get(), &record, sizeof record) == sizeof record);
    if (i == 0) REQUIRE(record.kind == Event::kStarted && record.end == 10);
    if (i > 0 && i + 1 < count) REQUIRE(record.kind == Event::kHealth && record.end == kChanges - count + 1 + i);
  }
  REQUIRE(record.kind == Event::kExited && record.value == 3);
}

void order() {
  Launcher launcher;
  Fd client = new_client();
  connect_to_it(client);
  launcher.turns(10);
  launcher.control.tell({Event::kHealth, 0, 0, 1, 0, 0});
  send_order(client, boxctl::kOrderStop, 0);
  client.reset();
  launcher.turns(10);
  REQUIRE(orders == 1);
}

void shortage() {
  Launcher launcher;
  const Fd client = new_client();
  connect_to_it(client);
  send_order(client, boxctl::kOrderAttach, 0);
  launcher.turns(10);
  const rlimit none = {0, 4096};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  static const char bytes[1 << 16] = {};
  for (int i = 0; i < 100; i++) launcher.control.output(boxctl::Stream::kOut, bytes, sizeof bytes);
  REQUIRE(!launcher.control.behind());
  // The sanitizer opens files at the end.
  const rlimit enough = {4096, 4096};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &enough) == 0);
}

void late() {
  Launcher launcher;
  const Fd others[] = {new_client(), new_client()};
  const Fd last = new_client();
  for (const Fd& other : others) connect_to_it(other);
  launcher.turns(10);
  const Fd spare(open("/dev/null", O_RDONLY));
  const rlimit none = {static_cast<rlim_t>(spare.get()) + 1, 4096};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  connect_to_it(last);
  send_order(last, boxctl::kOrderStop, 0);
  launcher.turns(10);
  // The one descriptor is for the connection, the other for the time.
  order_time = 1;
  for (const Fd& other : others) REQUIRE(shutdown(other.get(), SHUT_WR) == 0);
  // The turn after the connection was taken waits for the order's time, which was not there when the turn before began.
  boxctl::Poller& poller = launcher.poller;
  REQUIRE(launcher.timer.set(5000));
  launcher.is_late = false;
  while (!launcher.is_late && !(order_timer.fd() >= 0 && order_timer.expired())) {
    poller.clear();
    poller.add(order_timer.fd(), POLLIN);
    launcher.control.add_sources(poller);
    poller.add<&Launcher::on_time>(launcher.timer.fd(), POLLIN, launcher);
    REQUIRE(poller.wait() == 0);
    poller.dispatch();
  }
  REQUIRE(orders == 1 && !launcher.is_late);
}

// What the log has of a stream.
class Logged {
 public:
  Logged() {
    int ends[2];
    REQUIRE(mkdir("log", 0700) == 0);
    folder_ = Fd(open("log", O_RDONLY | O_DIRECTORY));
    REQUIRE(log.keep_in_files(folder_.get(), 0, 1) == 0);
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    ours_ = Fd(ends[0]);
    theirs_ = Fd(ends[1]);
    control.start(
        getuid(), nullptr, [](void*, const Order&) { orders++; }, &console);
    const Fd here(open(".", O_PATH | O_DIRECTORY));
    REQUIRE(control.listen(here.get(), "socket") == 0);
  }
  void turn() {
    poller.clear();
    console.add_sources(poller);
    log.add_sources(poller);
    control.add_sources(poller);
    poller.within(10);
    REQUIRE(poller.wait() == 0);
    poller.dispatch();
  }
  // Waits until all that the log was given is in its file, and looks how often the file has the text.
  size_t count(const char* text) {
    boxctl::Events events(theirs_.get());
    log.finish(events);
    static char bytes[1 << 22];
    const Fd file(openat(folder_.get(), "00000001.json", O_RDONLY));
    const ssize_t size = file.valid() ? read(file.get(), bytes, sizeof bytes - 1) : 0;
    REQUIRE(size >= 0);
    bytes[size] = '\0';
    size_t found = 0;
    for (const char* at = bytes; (at = strstr(at, text)) != nullptr; at++) found++;
    return found;
  }

  boxctl::Log log;
  boxctl::Control control;
  boxctl::Console console{log, control};
  boxctl::Poller poller;

 private:
  Fd folder_;
  Fd ours_;
  Fd theirs_;
};

void half() {
  Logged launcher;
  int pipes[2];
  REQUIRE(pipe2(pipes, O_NONBLOCK) == 0);
  const Fd writing(pipes[1]);
  REQUIRE(launcher.console.add(1, Fd(pipes[0])));
  const Fd client = new_client();
  connect_to_it(client);
  send_order(client, boxctl::kOrderAttach, 0);
  for (int i = 0; i < 3; i++) launcher.turn();
  // Its socket takes nothing more.
  for (int i = 0; i < 10'000; i++) launcher.control.tell({Event::kHealth, 0, 0, 1, 0, 0});
  REQUIRE(!launcher.control.behind());
  REQUIRE(write(writing.get(), "begun", 5) == 5 && shutdown(client.get(), SHUT_WR) == 0);
  for (int i = 0; i < 3; i++) launcher.turn();
  REQUIRE(!launcher.control.behind() && launcher.count("begun") == 1);
}

void terminal() {
  Logged launcher;
  Fd master(posix_openpt(O_RDWR | O_NOCTTY));
  REQUIRE(master.valid() && grantpt(master.get()) == 0 && unlockpt(master.get()) == 0);
  Fd command(open(ptsname(master.get()), O_RDWR | O_NOCTTY));
  termios settings;
  REQUIRE(command.valid() && tcgetattr(command.get(), &settings) == 0);
  cfmakeraw(&settings);
  REQUIRE(tcsetattr(command.get(), TCSANOW, &settings) == 0);
  launcher.console.attach(std::move(master), false);
  // The kernel keeps them while nobody reads, and gives 4095 bytes at a time: a whole number of lines.
  constexpr int kLines = 500;
  for (int i = 0; i < kLines; i++) REQUIRE(write(command.get(), "0123456789abcd\n", 15) == 15);
  command.reset();
  while (launcher.console.drain()) launcher.turn();
  REQUIRE(launcher.count("0123456789abcd") == kLines);
}

}  // namespace

int main(int count, char** words) {
  if (count != 3 || chdir(words[2]) != 0) return 2;
  signal(SIGPIPE, SIG_IGN);
  if (strcmp(words[1], "full") == 0) full();
  if (strcmp(words[1], "word") == 0) word();
  if (strcmp(words[1], "health") == 0) health();
  if (strcmp(words[1], "order") == 0) order();
  if (strcmp(words[1], "shortage") == 0) shortage();
  if (strcmp(words[1], "late") == 0) late();
  if (strcmp(words[1], "half") == 0) half();
  if (strcmp(words[1], "terminal") == 0) terminal();
  return 0;
}
