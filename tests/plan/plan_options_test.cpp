// The chosen target, and the messages for invalid options.
#include "src/plan/plan_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "src/core/error.h"
#include "tests/support/scratch.h"

namespace lora_dist::plan_options_test {
namespace {

using testing::HasSubstr;

template <class Change>
std::string error_of(Change change) {
  PlanOptions options;
  Config config;
  change(options, config);
  try {
    choose_target(options, config);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "no error";
}

TEST(PlanTarget, CpusUnlessSomethingAsksForAGpu) {
  EXPECT_FALSE(choose_target({}, {}).on_device());
  EXPECT_EQ(choose_target({}, {}).memory_limit, 0);
  PlanOptions memory;
  memory.memory = "40GB";
  EXPECT_TRUE(choose_target(memory, {}).on_device());
  EXPECT_EQ(choose_target(memory, {}).memory_limit, 40'000'000'000);
  EXPECT_EQ(choose_target(memory, {}).device->name, "h100");
  memory.target = "cpu";
  EXPECT_FALSE(choose_target(memory, {}).on_device());
  EXPECT_EQ(choose_target(memory, {}).memory_limit, 40'000'000'000);
  Config config;
  config.parallel.backend = Backend::cuda;
  EXPECT_TRUE(choose_target({}, config).on_device());
}

TEST(PlanTarget, ComputeTypeIsTheDevices) {
  PlanOptions options;
  Config config;
  options.device = "v100";
  EXPECT_EQ(choose_target(options, config).dtype, DType::f16);
  EXPECT_EQ(choose_target(options, config).memory_limit, find_device("v100").memory_bytes());
  options.device = "a100";
  EXPECT_EQ(choose_target(options, config).dtype, DType::bf16);
  config.model.compute_dtype = DType::f32;
  EXPECT_EQ(choose_target(options, config).dtype, DType::f32);
  options = {};
  config.model.compute_dtype = std::nullopt;
  EXPECT_EQ(choose_target(options, config).dtype, DType::f32);
}

TEST(PlanTarget, LinksAreTheDevicesUnlessTheyAreGiven) {
  PlanOptions options;
  options.device = "rtx4090";
  Cluster cluster = choose_target(options, {}).cluster;
  EXPECT_DOUBLE_EQ(cluster.intra.rate, 25e9);
  EXPECT_DOUBLE_EQ(cluster.link_of(8).rate, 25e9);
  options.link_intra = "50GB/s";
  options.link_inter = "100Gbit/s";
  options.latency_inter = "20us";
  options.gpus_per_node = 4;
  cluster = choose_target(options, {}).cluster;
  EXPECT_DOUBLE_EQ(cluster.link_of(4).rate, 50e9);
  EXPECT_DOUBLE_EQ(cluster.link_of(5).rate, 12.5e9);
  EXPECT_DOUBLE_EQ(cluster.link_of(5).latency, 20e-6);
}

TEST(PlanTarget, AFileOfLinksIsOverruledByOptions) {
  const Scratch scratch;
  std::ofstream(scratch / "links.toml") << "link_inter = \"12.5GB/s\"\nlatency_intra = \"3us\"\ngpus_per_node = 4\n";
  PlanOptions options;
  options.device = "a100";
  options.link = (scratch / "links.toml").string();
  options.latency_intra = "7us";
  const Cluster cluster = choose_target(options, {}).cluster;
  EXPECT_DOUBLE_EQ(cluster.inter.rate, 12.5e9);
  EXPECT_DOUBLE_EQ(cluster.intra.latency, 7e-6);
  EXPECT_DOUBLE_EQ(cluster.intra.rate, 300e9);
  EXPECT_EQ(cluster.gpus_per_node, 4);
}

TEST(PlanTarget, FilesOfLinksThatAreWrong) {
  const Scratch scratch;
  const auto problem = [&](const std::string& text) {
    std::ofstream(scratch / "links.toml") << text;
    return error_of([&](PlanOptions& options, Config&) { options.link = (scratch / "links.toml").string(); });
  };
  EXPECT_THAT(problem("speed = \"1GB/s\"\n"), HasSubstr("links.toml:1: speed is not known; a file of links has link_intra,"));
  EXPECT_THAT(problem("\nlink_intra = 4\n"), HasSubstr("links.toml:2: link_intra must be a string such as \"25GB/s\""));
  EXPECT_THAT(problem("gpus_per_node = 0\n"), HasSubstr("links.toml:1: gpus_per_node must be a whole number from 1 to 4096"));
  EXPECT_THAT(problem("link_inter = \"fast\"\n"), HasSubstr("--link-inter must be a rate"));
  EXPECT_THAT(error_of([](PlanOptions& options, Config&) { options.link = "/nowhere/links.toml"; }), HasSubstr("links.toml"));
}

TEST(PlanTarget, ErrorsSayWhatToDo) {
  EXPECT_THAT(error_of([](PlanOptions& options, Config&) { options.device = "h1000"; }),
              testing::AllOf(HasSubstr("--device h1000: known are v100,"), HasSubstr("l40s"), HasSubstr("--memory")));
  EXPECT_EQ(error_of([](PlanOptions& options, Config&) { options.target = "tpu"; }),
            "--target must be one of cpu, cuda (got tpu)");
  EXPECT_EQ(error_of([](PlanOptions& options, Config&) { options.cpu_gflops = -1.0; }),
            "--cpu-gflops must be above 0, and is for CPUs (--target cpu; got -1)");
  EXPECT_EQ(error_of([](PlanOptions& options, Config&) {
              options.device = "h100";
              options.cpu_gflops = 50.0;
            }),
            "--cpu-gflops must be above 0, and is for CPUs (--target cpu; got 50)");
  EXPECT_EQ(error_of([](PlanOptions& options, Config&) { options.efficiency = 1.5; }),
            "--efficiency must be above 0 and at most 1 (got 1.5)");
  EXPECT_EQ(error_of([](PlanOptions& options, Config&) { options.memory = "much"; }),
            "--memory must be a size such as 80GB or 40GiB (got much)");
  EXPECT_EQ(error_of([](PlanOptions& options, Config&) {
              options.target = "cpu";
              options.device = "h100";
            }),
            "--device names a GPU, and --target cpu plans for CPUs; leave one of them out");
  EXPECT_EQ(error_of([](PlanOptions& options, Config& config) {
              options.target = "cpu";
              config.model.compute_dtype = DType::bf16;
            }),
            "--target cpu: on CPUs products are computed in fp32, and model.compute_dtype is \"bf16\"; use \"auto\", or --target "
            "cuda");
  EXPECT_EQ(error_of([](PlanOptions& options, Config& config) {
              options.device = "v100";
              config.model.compute_dtype = DType::bf16;
            }),
            "model.compute_dtype = \"bf16\": the NVIDIA V100 32 GB has no bf16; use \"auto\" or \"fp16\"");
}

}  // namespace
}  // namespace lora_dist::plan_options_test
