// A fiber: one thread of a block with its own stack.
#pragma once

#include <cstddef>

namespace lora_dist::emulation {

/// A suspended stack.
struct StackState {
  void* pointer = nullptr;
  const void* bottom = nullptr;  // for AddressSanitizer, which follows stacks
  std::size_t bytes = 0;
};

/// Runs entry(argument) on its own guarded stack from the first resume() on. `entry` must not return. The destructor frees the
/// stack in any state. Single-threaded.
class Fiber {
 public:
  Fiber(void (*entry)(void*), void* argument);
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  /// Continues the fiber; returns when it yields again.
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
