#include "systemd.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../shared/fd.h"
#include "dbus.h"
#include "proc.h"

namespace boxctl {
namespace {

using dbus::Bus;
using dbus::Message;

constexpr const char* kDaemon = "org.freedesktop.DBus";
constexpr const char* kSystemd = "org.freedesktop.systemd1";
constexpr uint32_t kHello = 1, kAddMatch = 2, kStart = 3;

long ask(Bus& bus, const char* unit) {
  Message hello(kDaemon, "/org/freedesktop/DBus", kDaemon, "Hello", "", kHello);
  long result = bus.send_message(hello);
  if (result != 0) return result;
  // Before the method is called, so that its signal cannot be missed.
  Message match(kDaemon, "/org/freedesktop/DBus", kDaemon, "AddMatch", "s", kAddMatch);
  match.string(
      "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',member='"
      "JobRemoved'");
  result = bus.send_message(match);
  if (result != 0) return result;

  // StartTransientUnit(name s, mode s, properties a(sv), aux a(sa(sv)))
  Message start(kSystemd, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "StartTransientUnit",
                "ssa(sv)a(sa(sv))", kStart);
  start.string(unit);
  start.string("fail");
  const size_t properties = start.open_array(8);
  start.property("Description", "s");
  start.string("container of boxctl");
  start.property("PIDs", "au");
  const size_t pids = start.open_array(4);
  start.u32(static_cast<uint32_t>(getpid()));
  start.close_array(pids, 4);
  start.property("Delegate", "b");
  start.u32(1);
  // systemd forgets the unit when it ends, also when it failed.
  start.property("CollectMode", "s");
  start.string("inactive-or-failed");
  start.close_array(properties, 8);
  const size_t aux = start.open_array(8);
  start.close_array(aux, 8);
  return bus.send_message(start);
}

// Waits for the answer and the end of the job that it names.
long await_job(Bus& bus) {
  char job[256] = "";
  for (;;) {
    dbus::Received message;
    const long result = bus.receive(message);
    if (result != 0) return result;
    dbus::Values body(message.body, 0, message.body_size);
    if (message.type == dbus::kError && message.reply_to != 0) return -EREMOTEIO;
    if (message.type == dbus::kMethodReturn && message.reply_to == kStart) {
      snprintf(job, sizeof job, "%s", body.string());
    } else if (message.type == dbus::kSignal && strcmp(message.member, "JobRemoved") == 0 &&
               strcmp(message.signature, "uoss") == 0) {
      body.u32();
      const char* path = body.string();
      body.string();
      const char* outcome = body.string();
      // The answer comes before the signal: both are sent by the same process, in this order.
      if (body.ok() && *job != '\0' && strcmp(path, job) == 0) return strcmp(outcome, "done") == 0 ? 0 : -EREMOTEIO;
    }
  }
}

// Opens this process's own folder in the version 2 hierarchy, which must be the scope's.
long open_own(const char* unit, const char* hierarchy) {
  char text[8192];
  const long size = read_text_file(AT_FDCWD, "/proc/self/cgroup", text, sizeof text);
  if (size < 0) return size;
  const char* line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
  if (line == nullptr) return -EXDEV;
  line = strchr(line, '/');
  const size_t length = line == nullptr ? 0 : strcspn(line, "\n");
  const char* name = line == nullptr ? nullptr : static_cast<const char*>(memrchr(line, '/', length));
  const size_t unit_length = strlen(unit);
  if (name == nullptr || static_cast<size_t>(line + length - name) != unit_length + 1) return -EXDEV;
  if (strncmp(name + 1, unit, unit_length) != 0) return -EXDEV;
  char path[8192 + 256];
  if (snprintf(path, sizeof path, "%s%.*s", hierarchy, static_cast<int>(length), line) >=
      static_cast<int>(sizeof path)) {
    return -ENAMETOOLONG;
  }
  return negate(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

}  // namespace

long start_transient_scope(const char* socket_path, const char* unit, const char* hierarchy) {
  Bus bus;
  long result = bus.connect_to(socket_path);
  if (result == 0) result = ask(bus, unit);
  if (result == 0) result = await_job(bus);
  return result == 0 ? open_own(unit, hierarchy) : result;
}

}  // namespace boxctl
