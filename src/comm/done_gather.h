// What a group of one hands out: its gather is a copy that is over already.
#pragma once

#include "src/comm/communicator.h"

namespace lora_dist {

class DoneGather final : public PendingGather {
 public:
  void wait() override {}
  bool poke() override { return true; }
};

}  // namespace lora_dist
