// Makes the table that all containers share again when somebody has removed it, as a firewall that is started anew does
// (`nft flush ruleset`). The kernel tells of each change of nf_tables (NFNLGRP_NFTABLES), and by which program.
#pragma once

#include <stdint.h>

#include <utility>

#include "../shared/fd.h"
#include "calls.h"
#include "close_later.h"
#include "plan.h"
#include "poller.h"

namespace boxctl {

class NetworkTables {
 public:
  NetworkTables(const Plan& plan, Context& context) : plan_(plan), context_(context) {}
  // To close a socket of netfilter waits for the end of what was removed before, as that of the container's own table.
  ~NetworkTables() {
    if (changes_.valid()) close_later(std::move(changes_));
  }
  NetworkTables(const NetworkTables&) = delete;
  NetworkTables& operator=(const NetworkTables&) = delete;

  // From now on, changes by other programs are waited for. After each, `question` asks for the table, over the
  // descriptor of `socket`. Where it is not there, or is another one than before, the steps of the plan that are marked
  // for that are made again. Returns 0 or -errno.
  long watch(uint16_t socket, const Arg& question);
  void add_sources(Poller& poller) { poller.add<&NetworkTables::on_change>(changes_.get(), POLLIN, *this); }
  // Once after a change was looked at.
  bool has_worked() { return std::exchange(worked_, false); }

 private:
  void on_change(short happened);
  bool find(uint64_t& handle) const;

  static constexpr uint64_t kGone = 0;
  static constexpr uint64_t kNeverAsked = UINT64_MAX;

  const Plan& plan_;
  Context& context_;
  Fd changes_;
  uint16_t socket_ = kNoSlot;
  Arg question_;
  // The kernel's number of the table that has what this launcher's steps have added.
  uint64_t known_ = kNeverAsked;
  bool worked_ = false;
};

}  // namespace boxctl
