// Signals that ask for a stop: noted by a thread of their own, never delivered to one that computes.
#include "src/core/stop_request.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace lora_dist {
namespace {

bool both_blocked_here() {
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  return sigismember(&mask, SIGUSR1) == 1 && sigismember(&mask, SIGTERM) == 1;
}

bool noted_within_seconds() {
  for (int i = 0; i < 500 && !stop_requested(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return stop_requested();
}

/// oneDNN's products keep data where a signal frame would go, so no computing thread may take one.
TEST(StopRequest, IsNotedWhileEveryThreadHasTheSignalsBlocked) {
  EXPECT_FALSE(stop_requested());
  listen_for_stop_requests();
  EXPECT_TRUE(both_blocked_here());
  bool blocked_in_later_threads = false;
  std::thread([&] { blocked_in_later_threads = both_blocked_here(); }).join();
  EXPECT_TRUE(blocked_in_later_threads);
  ::kill(::getpid(), SIGUSR1);
  EXPECT_TRUE(noted_within_seconds());
}

TEST(StopRequest, EndsTheProcessWhereItIsNotListenedTo) {
  EXPECT_EXIT(
      {
        listen_for_stop_requests();
        ::kill(::getpid(), SIGUSR1);
        noted_within_seconds();
        end_on_stop_requests();
        std::this_thread::sleep_for(std::chrono::seconds(10));
      },
      testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace lora_dist
