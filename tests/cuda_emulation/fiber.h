// A stack of its own that runs until it gives way: one thread of a block.
#pragma once

#include <cstddef>

namespace lora_dist::emulation {

/// One direction of a switch: where a stack was left.
struct StackState {
  void* pointer = nullptr;
  const void* bottom = nullptr;  // for AddressSanitizer, which follows stacks
  std::size_t bytes = 0;
};

/// Runs entry(argument) on its own guarded stack from the first resume() on. `entry` never returns. Its memory is freed with it,
/// whatever it was doing. Used from one thread only.
class Fiber {
 public:
  Fiber(void (*entry)(void*), void* argument);
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  /// Continues where the fiber gave way; returns when it does so again.
  void resume();
  /// Called on the fiber.
  void give_way();

 private:
  static void start(Fiber* self);

  void (*entry_)(void*);
  void* argument_;
  void* memory_;
  StackState own_;
  StackState caller_;
};

}  // namespace lora_dist::emulation
