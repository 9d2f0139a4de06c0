// Reads the command line of gpu_step_benchmark into the rows that it measures.
#include "benchmarks/step_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <filesystem>
#include <sstream>

#include "src/core/error.h"

namespace lora_dist::benchmarks {

namespace {

namespace po = boost::program_options;

// Folders of benchmarks/shapes, from the smallest need of memory to the largest.
const std::vector<std::string> kShapes = {"tiny", "qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "qwen3-8b", "llama-3.1-8b"};

template <class Value>
struct Choice {
  const char* name;
  Value value;
};
constexpr std::array<Choice<Quantization>, 2> kBases = {{{"nf4", Quantization::nf4}, {"bf16", Quantization::none}}};
constexpr std::array<Choice<Recompute>, 3> kRecomputes = {
    {{"block", Recompute::block}, {"selective", Recompute::selective}, {"none", Recompute::none}}};

[[noreturn]] void fail(const std::string& message) { throw Error(ExitCode::usage, message); }

template <class Choices>
auto chosen(const std::string& option, const std::string& word, const Choices& choices) {
  std::vector<std::string> names;
  for (const auto& choice : choices) {
    if (word == choice.name) {
      return choice.value;
    }
    names.emplace_back(choice.name);
  }
  fail(fmt::format("--{} {}: it is one of {}", option, word, fmt::join(names, ", ")));
}

po::options_description description(StepBenchOptions& options) {
  po::options_description list("gpu_step_benchmark: training steps of random models, beside the device's own rates");
  list.add_options()("help", po::bool_switch(&options.help), "show this");
  list.add_options()("shape", po::value<std::string>(), fmt::format("{}", fmt::join(kShapes, ", ")).c_str());
  list.add_options()("config", po::value<std::string>(), "a config.json in place of a shape");
  list.add_options()("base", po::value<std::string>(), "nf4 or bf16");
  list.add_options()("recompute", po::value<std::string>(), "none, selective or block");
  list.add_options()("all", po::bool_switch(), "every shape but tiny, base and recompute mode that is not given");
  list.add_options()("backend", po::value(&options.backend)->default_value(options.backend), "cuda or cpu");
  list.add_options()("steps", po::value(&options.steps)->default_value(options.steps), "timed steps, after two others");
  list.add_options()("sequence-length", po::value(&options.sequence_length)->default_value(options.sequence_length), "tokens");
  list.add_options()("micro-batch", po::value(&options.micro_batch)->default_value(options.micro_batch), "sequences of a pass");
  list.add_options()("global-batch", po::value(&options.global_batch)->default_value(options.global_batch),
                     "sequences of a step");
  list.add_options()("product-size", po::value(&options.product_size),
                     "rows and columns of the product that sets the device's rate (8192; 1024 on the CPU)");
  return list;
}

struct NamedSpec {
  std::string name;
  ModelSpec spec;
};

NamedSpec read_shape(const std::string& name) {
  if (std::find(kShapes.begin(), kShapes.end(), name) == kShapes.end()) {
    fail(fmt::format("--shape {}: it is one of {}; --config takes a file", name, fmt::join(kShapes, ", ")));
  }
  return {name, read_model_config(std::filesystem::path(LORA_DIST_SOURCE_DIR) / "benchmarks" / "shapes" / name)};
}

NamedSpec read_file(const std::filesystem::path& file) {
  if (file.filename() != "config.json") {
    fail(fmt::format("--config {}: the file must be called config.json", file.string()));
  }
  const std::filesystem::path folder = std::filesystem::absolute(file).parent_path();
  return {folder.filename().string(), read_model_config(folder)};
}

std::vector<NamedSpec> shapes_of(const po::variables_map& given, bool all) {
  if (given.count("config") > 0) {
    return {read_file(given["config"].as<std::string>())};
  }
  if (given.count("shape") > 0 || !all) {
    return {read_shape(given.count("shape") > 0 ? given["shape"].as<std::string>() : "llama-3.1-8b")};
  }
  std::vector<NamedSpec> shapes;
  for (std::size_t i = 1; i < kShapes.size(); ++i) {
    shapes.push_back(read_shape(kShapes[i]));
  }
  return shapes;
}

/// The option's value; without it all values, or the default.
template <class Choices>
auto values_of(const po::variables_map& given, const std::string& option, bool all, const char* otherwise,
               const Choices& choices) {
  std::vector<decltype(choices[0].value)> values;
  if (given.count(option) > 0 || !all) {
    values.push_back(chosen(option, given.count(option) > 0 ? given[option].as<std::string>() : otherwise, choices));
  } else {
    for (const auto& choice : choices) {
      values.push_back(choice.value);
    }
  }
  return values;
}

void check(const StepBenchOptions& options) {
  if (options.backend != "cuda" && options.backend != "cpu") {
    fail(fmt::format("--backend {}: it is one of cuda, cpu", options.backend));
  }
  for (const std::int64_t count :
       {options.steps, options.sequence_length, options.micro_batch, options.global_batch, options.product_size}) {
    if (count < 1) {
      fail(fmt::format("--steps, --sequence-length, --micro-batch, --global-batch and --product-size are 1 or more (got {})",
                       count));
    }
  }
  for (const StepCase& step : options.cases) {
    if (options.sequence_length > step.spec.max_positions) {
      fail(fmt::format("--sequence-length {}: {} has only {} positions", options.sequence_length, step.shape,
                       step.spec.max_positions));
    }
    if (step.spec.attention_bias || step.spec.mlp_bias) {
      fail(fmt::format("--config: {} has biases, which random weights do not have", step.shape));
    }
  }
}

}  // namespace

std::string step_options_help() {
  StepBenchOptions options;
  std::ostringstream text;
  text << description(options);
  return text.str();
}

StepBenchOptions parse_step_options(int argc, const char* const* argv) {
  StepBenchOptions options;
  po::variables_map given;
  try {
    po::store(po::parse_command_line(argc, argv, description(options)), given);
    po::notify(given);
  } catch (const po::error& error) {
    fail(fmt::format("{} (--help lists the options)", error.what()));
  }
  if (given.count("shape") > 0 && given.count("config") > 0) {
    fail("--shape and --config are two names for one thing: give one of them");
  }
  if (given.count("product-size") == 0) {
    options.product_size = options.backend == "cpu" ? 1024 : 8192;
  }
  const bool all = given["all"].as<bool>();
  for (const NamedSpec& shape : shapes_of(given, all)) {
    for (const Quantization base : values_of(given, "base", all, "nf4", kBases)) {
      for (const Recompute recompute : values_of(given, "recompute", all, "selective", kRecomputes)) {
        options.cases.push_back({shape.name, shape.spec, base, recompute});
      }
    }
  }
  check(options);
  return options;
}

}  // namespace lora_dist::benchmarks
