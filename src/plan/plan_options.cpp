// Reads the options of `plan` and chooses the target.
#include "src/plan/plan_options.h"

#include <fmt/format.h>

#include <array>
#include <optional>

#include "src/config/read_toml.h"
#include "src/core/error.h"
#include "src/plan/parse_quantities.h"
#include "src/plan/program_memory.h"

namespace lora_dist {

namespace {

[[noreturn]] void fail(const std::string& message) { throw Error(ExitCode::usage, message, ErrorScope::collective); }

/// The text keys of a --link file, and the options that override them.
struct LinkKey {
  const char* name;
  std::string PlanOptions::*option;
};
constexpr std::array<LinkKey, 4> kLinkKeys = {{{"link_intra", &PlanOptions::link_intra},
                                               {"link_inter", &PlanOptions::link_inter},
                                               {"latency_intra", &PlanOptions::latency_intra},
                                               {"latency_inter", &PlanOptions::latency_inter}}};
constexpr const char* kGpusPerNode = "gpus_per_node";

/// Takes the values that were not given as options from the file.
void read_link_file(PlanOptions& options) {
  for (const auto& [key, node] : read_toml_file(options.link)) {
    const std::string place = fmt::format("{}:{}: {}", options.link, key.source().begin.line, key.str());
    if (key == kGpusPerNode) {
      const std::optional<std::int64_t> number = node.value_exact<std::int64_t>();
      if (!number || *number < 1 || *number > 4096) {
        fail(place + " must be a whole number from 1 to 4096");
      }
      options.gpus_per_node = options.gpus_per_node > 0 ? options.gpus_per_node : static_cast<int>(*number);
      continue;
    }
    bool known = false;
    for (const LinkKey& each : kLinkKeys) {
      if (key == each.name) {
        const std::optional<std::string> text = node.value_exact<std::string>();
        if (!text) {
          fail(place + " must be a string such as \"25GB/s\" or \"5us\"");
        }
        std::string& option = options.*each.option;
        option = option.empty() ? *text : option;
        known = true;
      }
    }
    if (!known) {
      fail(place + " is not known; a file of links has link_intra, link_inter, latency_intra, latency_inter, gpus_per_node");
    }
  }
}

Cluster cluster_of(PlanOptions options, const DeviceSpec* device) {
  constexpr double kNodeLatency = 5e-6;
  constexpr double kHostMemory = 10e9;  // CPU ranks of one node
  if (!options.link.empty()) {
    read_link_file(options);
  }
  Cluster cluster;
  cluster.intra = {device != nullptr ? device->link_rate : kHostMemory, kNodeLatency};
  if (options.gpus_per_node > 0) {
    cluster.gpus_per_node = options.gpus_per_node;
  }
  const auto take = [](const std::string& text, const char* name, double& value, auto parse) {
    value = text.empty() ? value : parse(text, name);
  };
  take(options.link_intra, "--link-intra", cluster.intra.rate, parse_rate);
  take(options.link_inter, "--link-inter", cluster.inter.rate, parse_rate);
  take(options.latency_intra, "--latency-intra", cluster.intra.latency, parse_seconds);
  take(options.latency_inter, "--latency-inter", cluster.inter.latency, parse_seconds);
  return cluster;
}

bool wants_device(const PlanOptions& options, const Config& config) {
  return !options.memory.empty() || !options.device.empty() || config.parallel.backend == Backend::cuda ||
         config.parallel.communicator == CommunicatorKind::nccl || config.parallel.base_device == BaseDevice::device ||
         config.model.compute_dtype.value_or(DType::f32) != DType::f32;
}

/// The same choice as choose_device at the start of a run.
DType dtype_of(std::optional<DType> asked, const DeviceSpec* device) {
  if (device == nullptr) {
    if (asked.value_or(DType::f32) != DType::f32) {
      fail(
          fmt::format("--target cpu: on CPUs products are computed in fp32, and model.compute_dtype is \"{}\"; use \"auto\", or "
                      "--target cuda",
                      word_of(kComputeDtypes, asked)));
    }
    return DType::f32;
  }
  if (asked == DType::bf16 && !device->has_bf16) {
    fail(fmt::format("model.compute_dtype = \"bf16\": the {} has no bf16; use \"auto\" or \"fp16\"", device->title));
  }
  if (asked == DType::f32) {
    return DType::f32;
  }
  return asked == DType::f16 || !device->has_bf16 ? DType::f16 : DType::bf16;
}

}  // namespace

PlanTarget choose_target(const PlanOptions& options, const Config& config) {
  if (!options.target.empty() && options.target != "cpu" && options.target != "cuda") {
    fail(fmt::format("--target must be one of cpu, cuda (got {})", options.target));
  }
  if (!(options.efficiency > 0.0 && options.efficiency <= 1.0)) {
    fail(fmt::format("--efficiency must be above 0 and at most 1 (got {})", options.efficiency));
  }
  PlanTarget target;
  if (options.target.empty() ? wants_device(options, config) : options.target == "cuda") {
    target.backend = Backend::cuda;
    target.device = &find_device(options.device.empty() ? "h100" : options.device);
    target.memory_limit = target.device->memory_bytes();
  } else if (!options.device.empty()) {
    fail("--device names a GPU, and --target cpu plans for CPUs; leave one of them out");
  }
  if (options.cpu_gflops < 0.0 || (options.cpu_gflops > 0.0 && target.on_device())) {
    fail(fmt::format("--cpu-gflops must be above 0, and is for CPUs (--target cpu; got {})", options.cpu_gflops));
  }
  target.cpu_flops = options.cpu_gflops * 1e9;
  if (!target.on_device()) {
    target.program_bytes = program_bytes();
    target.program_is_measured = true;
  }
  if (!options.memory.empty()) {
    target.memory_limit = parse_bytes(options.memory, "--memory");
  }
  target.dtype = dtype_of(config.model.compute_dtype, target.device);
  target.efficiency = options.efficiency;
  target.cluster = cluster_of(options, target.device);
  return target;
}

}  // namespace lora_dist
