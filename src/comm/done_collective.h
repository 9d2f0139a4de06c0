// A collective that is over already: those of a group of one, and of transports that do not work beside the operators.
#pragma once

#include "src/comm/communicator.h"

namespace lora_dist {

class DoneCollective final : public PendingCollective {
 public:
  void wait() override {}
  bool progress() override { return true; }
};

}  // namespace lora_dist
