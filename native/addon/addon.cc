// Node's side of the native part: what the launcher needs to be started, and what Node's own library does not have.
// Arguments are checked by src/native.ts, the only caller.
#include <napi.h>

#include "addresses.h"
#include "attach.h"
#include "connect.h"
#include "end.h"
#include "engine.h"
#include "files.h"
#include "hash.h"
#include "leave.h"
#include "map.h"
#include "mounts.h"
#include "probe.h"
#include "serve.h"
#include "signals.h"
#include "spawn.h"
#include "watch.h"

namespace {

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("spawnLauncher", boxctl::spawn_launcher);
  add("sealPlan", boxctl::seal_plan);
  add("askLauncher", boxctl::ask_launcher);
  add("dismissLauncher", boxctl::dismiss_launcher);
  add("connectTo", boxctl::connect_to);
  add("listenToLaunchers", boxctl::listen_to_launchers);
  add("attach", boxctl::attach);
  add("watch", boxctl::watch);
  add("hangUp", boxctl::hang_up);
  add("reap", boxctl::reap);
  add("startedWithFiles", boxctl::started_with_files);
  add("catchSignals", boxctl::catch_signals);
  add("passSignals", boxctl::pass_signals);
  add("releaseSignals", boxctl::release_signals);
  add("endProcess", boxctl::end_process);
  add("signalProcess", boxctl::signal_process);
  add("endNamespace", boxctl::end_namespace);
  add("readInRoot", boxctl::read_in_root);
  add("statInRoot", boxctl::stat_in_root);
  add("openOwn", boxctl::open_own);
  add("leave", boxctl::leave);
  add("setBaseline", boxctl::set_baseline);
  add("mapBytes", boxctl::map_bytes);
  add("mapText", boxctl::map_text);
  add("mountIndex", boxctl::mount_index);
  add("tryLock", boxctl::try_lock);
  add("pipe", boxctl::make_pipe);
  add("sha256", boxctl::sha256);
  add("probeCalls", boxctl::probe_calls);
  add("interfaceAddresses", boxctl::interface_addresses);
  add("terminalState", boxctl::terminal_state);
  add("restoreTerminal", boxctl::restore_terminal);
  add("terminalColumns", boxctl::terminal_columns);
  add("terminalRows", boxctl::terminal_rows);
  return exports;
}

}  // namespace

NODE_API_MODULE(boxctl, initialize)
