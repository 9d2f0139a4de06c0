// Stop signals are received by their own thread and never delivered to computing threads.
#include "src/core/stop_request.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <thread>

#include "src/core/error.h"
#include "tests/support/scratch.h"

namespace lora_dist::stop_request_test {
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

/// A signal frame would overwrite data of oneDNN's products, so no computing thread may receive a signal.
TEST(StopRequest, IsNotedWhileEveryThreadHasTheSignalsBlocked) {
  EXPECT_FALSE(stop_requested());
  listen_for_stop_requests();
  EXPECT_TRUE(both_blocked_here());
  bool blocked_in_later_threads = false;
  std::thread([&] { blocked_in_later_threads = both_blocked_here(); }).join();
  EXPECT_TRUE(blocked_in_later_threads);
  ::kill(::getpid(), SIGUSR1);
  EXPECT_TRUE(noted_within_seconds());
  EXPECT_EQ(stopped_on_request(), "stopped on request (SIGUSR1)");
  request_stop("another");  // the first reason stays
  EXPECT_EQ(stop_reason(), "SIGUSR1");
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

/// Each test has its own process, since a stop request is permanent.
TEST(StopRequest, AFileAsks) {
  const Scratch scratch;
  EXPECT_EXIT(
      {
        const StopFile look(scratch / "stop");
        std::this_thread::sleep_for(std::chrono::milliseconds(700));
        const bool before = stop_requested();
        std::ofstream(scratch / "stop") << "";
        const bool noted = noted_within_seconds();
        std::_Exit(!before && noted && stop_reason() == "the file " + (scratch / "stop").string() ? 7 : 1);
      },
      testing::ExitedWithCode(7), "");
}

TEST(StopRequest, AMomentAsks) {
  EXPECT_EXIT(
      {
        listen_for_stop_requests();
        stop_at(std::chrono::system_clock::now(), "too early");
        stop_at(std::chrono::system_clock::now() + std::chrono::milliseconds(100), "time is up");
        std::_Exit(noted_within_seconds() && stop_reason() == "time is up" ? 7 : 1);
      },
      testing::ExitedWithCode(7), "");
}

TEST(StopRequest, NothingToSaveEndsLoopsAndInTheEndTheJob) {
  EXPECT_EXIT(
      {
        listen_for_stop_requests();
        const NothingToSave now(std::chrono::milliseconds(500), [] { std::_Exit(8); });
        stop_if_requested();
        request_stop("a test");
        try {
          stop_if_requested();
          std::_Exit(1);
        } catch (const Error& error) {
          const bool right =
              error.code() == ExitCode::stopped &&
              std::string(error.what()).starts_with("stopped on request (a test) before the first step of this job");
          if (!right) {
            std::_Exit(2);
          }
        }
        std::this_thread::sleep_for(std::chrono::seconds(20));  // a loop that does not poll
      },
      testing::ExitedWithCode(8), "");
}

TEST(StopRequest, WhereThereIsSomethingToSaveLoopsGoOn) {
  EXPECT_EXIT(
      {
        listen_for_stop_requests();
        {
          const NothingToSave before(std::chrono::milliseconds(100), [] { std::_Exit(8); });
        }
        request_stop("a test");
        std::this_thread::sleep_for(std::chrono::milliseconds(600));
        stop_if_requested();
        std::_Exit(7);
      },
      testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace lora_dist::stop_request_test
