// Stacks and switches between them: in assembly on x86-64 (6 registers), by ucontext elsewhere (a system call per switch).
#include "tests/cuda_emulation/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#if !defined(__x86_64__)
#define LORA_DIST_EMULATION_UCONTEXT
#endif
#if defined(LORA_DIST_EMULATION_UCONTEXT)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace lora_dist::emulation {

namespace {

constexpr std::size_t kGuard = 4096;
constexpr std::size_t kStack = std::size_t{256} << 10;  // pages that are never touched cost nothing

void before_switch(const StackState& to, void** fake_stack) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(fake_stack, to.bottom, to.bytes);
#else
  static_cast<void>(to);
  static_cast<void>(fake_stack);
#endif
}

void after_switch(void* fake_stack, StackState* left) {
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(fake_stack, &bottom, &bytes);
  if (left != nullptr) {
    left->bottom = bottom;
    left->bytes = bytes;
  }
#else
  static_cast<void>(fake_stack);
  static_cast<void>(left);
#endif
}

}  // namespace

#if defined(LORA_DIST_EMULATION_UCONTEXT)

namespace {

void switch_stack(StackState& from, const StackState& to) {
  swapcontext(static_cast<ucontext_t*>(from.pointer), static_cast<const ucontext_t*>(to.pointer));
}

void* prepare(char* stack, void (*start)(Fiber*), Fiber* self) {
  auto* context = new ucontext_t;
  getcontext(context);
  context->uc_stack.ss_sp = stack;
  context->uc_stack.ss_size = kStack;
  context->uc_link = nullptr;
  // makecontext passes ints; a pointer travels as two.
  using Split = void (*)(unsigned, unsigned);
  static void (*const begin)(Fiber*) = start;
  const Split entry = [](unsigned high, unsigned low) {
    begin(reinterpret_cast<Fiber*>((static_cast<std::uintptr_t>(high) << 32U) | low));
  };
  const auto bits = reinterpret_cast<std::uintptr_t>(self);
  makecontext(context, reinterpret_cast<void (*)()>(entry), 2, static_cast<unsigned>(bits >> 32U), static_cast<unsigned>(bits));
  return context;
}

}  // namespace

#else

// void lora_dist_switch_stack(void** left, void* entered): the registers that a call must keep lie on the stack that is left.
asm(R"(
  .text
  .type lora_dist_switch_stack, @function
lora_dist_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size lora_dist_switch_stack, .-lora_dist_switch_stack
  .type lora_dist_start_stack, @function
lora_dist_start_stack:
  movq %rbx, %rdi
  callq *%rbp
  ud2
  .size lora_dist_start_stack, .-lora_dist_start_stack
)");
extern "C" void lora_dist_switch_stack(void** left, void* entered);
extern "C" void lora_dist_start_stack();

namespace {

void switch_stack(StackState& from, const StackState& to) { lora_dist_switch_stack(&from.pointer, to.pointer); }

// The initial stack of a fiber suspended just before lora_dist_start_stack, with `self` in rbx and `start` in rbp.
void* prepare(char* stack, void (*start)(Fiber*), Fiber* self) {
  auto** top = reinterpret_cast<void**>(stack + kStack);
  *--top = nullptr;
  *--top = nullptr;  // keeps the calls aligned to 16
  *--top = reinterpret_cast<void*>(lora_dist_start_stack);
  *--top = reinterpret_cast<void*>(start);  // rbp
  *--top = self;                            // rbx
  for (int i = 0; i < 4; ++i) {
    *--top = nullptr;  // r12 to r15
  }
  return top;
}

}  // namespace

#endif

Fiber::Fiber(void (*entry)(void*), void* argument) : entry_(entry), argument_(argument) {
  memory_ = mmap(nullptr, kGuard + kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory_ == MAP_FAILED || mprotect(memory_, kGuard, PROT_NONE) != 0) {
    std::perror("emulated CUDA: no memory for the stack of a thread");
    std::abort();
  }
  char* stack = static_cast<char*>(memory_) + kGuard;
  own_ = {prepare(stack, &Fiber::start, this), stack, kStack};
#if defined(LORA_DIST_EMULATION_UCONTEXT)
  caller_.pointer = new ucontext_t;
#endif
}

Fiber::~Fiber() {
#if defined(LORA_DIST_EMULATION_UCONTEXT)
  delete static_cast<ucontext_t*>(own_.pointer);
  delete static_cast<ucontext_t*>(caller_.pointer);
#endif
  munmap(memory_, kGuard + kStack);
}

void Fiber::start(Fiber* self) {
  after_switch(nullptr, &self->caller_);
  self->entry_(self->argument_);
  std::abort();  // `entry` returned
}

void Fiber::resume() {
  void* fake_stack = nullptr;
  before_switch(own_, &fake_stack);
  switch_stack(caller_, own_);
  after_switch(fake_stack, nullptr);
}

void Fiber::give_way() {
  void* fake_stack = nullptr;
  before_switch(caller_, &fake_stack);
  switch_stack(own_, caller_);
  after_switch(fake_stack, &caller_);
}

}  // namespace lora_dist::emulation
