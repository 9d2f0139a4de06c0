// The command line: parsing, and every error message.
#include "src/commands/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/program_options/parsers.hpp>
#include <fstream>
#include <sstream>

#include "src/commands/config_options.h"
#include "src/commands/generation_options.h"
#include "src/commands/help.h"
#include "src/commands/model_options.h"
#include "src/core/error.h"
#include "src/plan/plan_options.h"

namespace lora_dist::command_line_test {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;

using Words = std::vector<std::string>;

std::string error_of(const Words& arguments) {
  try {
    parse_command_line(arguments);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_EQ(error.scope(), ErrorScope::collective);
    return error.what();
  }
  return "no error";
}

/// The given value of an option.
template <class Value = std::string>
Value written(const CommandLine& line, const std::string& option) {
  return line.written[option].as<Value>();
}

/// Parses options that several commands share.
template <class Options>
Options stored(void (*describe)(CommandUse&, Options&), const Words& words) {
  namespace po = boost::program_options;
  Options options;
  CommandUse use;
  describe(use, options);
  po::variables_map values;
  po::store(po::command_line_parser(words).options(use.options).run(), values);
  po::notify(values);
  return options;
}

TEST(CommandLine, TrainIsMeantWhenNoCommandIsNamed) {
  const CommandLine line =
      parse_command_line({"--cfg", "a.toml", "--set", "adapter.r=4", "--set=train.epochs=1", "--print-config"});
  EXPECT_EQ(line.command->name, "train");
  EXPECT_FALSE(line.command_given);
  EXPECT_EQ(written(line, "cfg"), "a.toml");
  EXPECT_EQ(written<Words>(line, "set"), (Words{"adapter.r=4", "train.epochs=1"}));
  EXPECT_TRUE(written<bool>(line, "print-config"));
  EXPECT_EQ(written(parse_command_line({"eval", "--cfg=a.toml", "--adapter", "d"}), "adapter"), "d");
}

TEST(CommandLine, OnlyTrainingHasSomethingToDoBeforeMpi) {
  for (const Command& command : commands()) {
    EXPECT_EQ(static_cast<bool>(command.use().before_mpi), command.name == "train" || command.name == "compare") << command.name;
  }
}

TEST(CommandLine, DefaultsOfASingleCommand) {
  EXPECT_THAT(help_text(parse_command_line({"data", "--help"})), HasSubstr("token by token (default 3)"));
  EXPECT_EQ(PlanOptions{}.ranks, 0);  // one, or those of mpirun
}

TEST(SharedOptions, AreStored) {
  const ConfigOptions config =
      stored(describe_config_options, {"--cfg", "a.toml", "--set", "adapter.r=4", "--set=train.epochs=1", "--print-config"});
  EXPECT_EQ(config.cfg, "a.toml");
  EXPECT_EQ(config.sets, (Words{"adapter.r=4", "train.epochs=1"}));
  EXPECT_TRUE(config.print_config);

  const ModelOptions model =
      stored(describe_model_options, {"--model", "m", "--adapter", "a", "--quantization", "nf4", "--block-size", "128",
                                      "--double-quant", "false", "--backend", "cpu", "--compute-dtype", "fp32"});
  EXPECT_EQ(model.model, "m");
  EXPECT_EQ(model.adapter, "a");
  EXPECT_EQ(model.base.quantization, Quantization::nf4);
  EXPECT_EQ(model.base.block_size, 128);
  EXPECT_EQ(model.base.double_quant, false);
  EXPECT_EQ(model.backend, Backend::cpu);
  EXPECT_EQ(model.compute_dtype, DType::f32);
  const WantedFormat usual = wanted_format(stored(describe_model_options, {"--model", "m"}).base, Quantization::none);
  EXPECT_EQ(usual.format.quantization, Quantization::none);
  EXPECT_FALSE(usual.quantization_given);

  const GenerationOptions plain = stored(describe_generation_options, {});
  EXPECT_EQ(plain.max_new_tokens, 128);
  EXPECT_EQ(plain.sampling.temperature, std::nullopt);
  EXPECT_EQ(sampling_options(plain, {}, {}).temperature, 0.0);
  EXPECT_EQ(plain.seed, 42);
  const GenerationOptions sampled =
      stored(describe_generation_options, {"--max-new-tokens", "5", "--temperature", "0.7", "--top-p", "0.9", "--top-k", "40",
                                           "--repetition-penalty", "1.5", "--seed", "7", "--ignore-generation-config"});
  EXPECT_EQ(sampled.max_new_tokens, 5);
  EXPECT_EQ(sampled.sampling.temperature, 0.7);
  EXPECT_EQ(sampled.sampling.top_p, 0.9);
  EXPECT_EQ(sampled.sampling.top_k, 40);
  EXPECT_EQ(sampled.sampling.repetition_penalty, 1.5);
  EXPECT_EQ(sampled.seed, 7);
  EXPECT_TRUE(sampled.ignore_generation_config);
}

TEST(CommandLine, ScoreGenerateAndInspect) {
  const CommandLine score =
      parse_command_line({"score", "--model", "m", "--adapter", "a", "--quantization", "nf4", "--input", "i", "--output", "o"});
  EXPECT_EQ(score.command->name, "score");
  EXPECT_EQ(written(score, "model"), "m");
  EXPECT_EQ(written(score, "adapter"), "a");
  EXPECT_EQ(written(score, "quantization"), "nf4");
  EXPECT_EQ(written(score, "input"), "i");
  EXPECT_EQ(written(score, "output"), "o");

  const CommandLine plain = parse_command_line({"generate", "--model", "m", "--prompt", "-- tell me --"});
  EXPECT_EQ(written(plain, "prompt"), "-- tell me --");
  const CommandLine sampled = parse_command_line({"generate", "--model", "m", "--input", "i", "--max-new-tokens", "5",
                                                  "--temperature", "0.7", "--top-p", "0.9", "--top-k", "40", "--seed", "7"});
  EXPECT_EQ(written<int>(sampled, "max-new-tokens"), 5);
  EXPECT_EQ(written<double>(sampled, "temperature"), 0.7);
  EXPECT_EQ(written<double>(sampled, "top-p"), 0.9);
  EXPECT_EQ(written<int>(sampled, "top-k"), 40);
  EXPECT_EQ(written<std::int64_t>(sampled, "seed"), 7);
  const CommandLine empty = parse_command_line({"generate", "--model", "m", "--prompt", ""});
  EXPECT_EQ(written(empty, "prompt"), "");

  EXPECT_FALSE(written<bool>(empty, "chat"));
  EXPECT_TRUE(written<bool>(parse_command_line({"generate", "--model", "m", "--chat", "--prompt", "p"}), "chat"));

  const CommandLine inspect = parse_command_line({"inspect", "runs/x", "--verify"});
  EXPECT_EQ(*inspect.use.path, "runs/x");
  EXPECT_TRUE(written<bool>(inspect, "verify"));
}

TEST(CommandLine, Data) {
  const CommandLine data = parse_command_line({"data", "--cfg", "a.toml", "--set", "adapter.r=4", "--samples", "7"});
  EXPECT_EQ(data.command->name, "data");
  EXPECT_EQ(written(data, "cfg"), "a.toml");
  EXPECT_EQ(written<Words>(data, "set"), (Words{"adapter.r=4"}));
  EXPECT_EQ(written<int>(data, "samples"), 7);
  EXPECT_TRUE(written<bool>(parse_command_line({"data", "--set", "adapter.r=4", "--json"}), "json"));
  EXPECT_EQ(error_of({"data"}), "data needs a configuration: --cfg FILE (lora_dist data --help shows examples)");
  EXPECT_EQ(error_of({"data", "--cfg", "a", "--samples", "-1"}), "--samples must be at least 0 (got -1)");
}

TEST(CommandLine, Plan) {
  const CommandLine plan = parse_command_line({"plan", "--cfg", "a.toml", "--memory", "80GB", "--ranks", "64", "--device", "a100",
                                               "--samples", "1000", "--link-inter", "100Gbit/s", "--json"});
  EXPECT_EQ(plan.command->name, "plan");
  EXPECT_EQ(written(plan, "memory"), "80GB");
  EXPECT_EQ(written<int>(plan, "ranks"), 64);
  EXPECT_EQ(written(plan, "device"), "a100");
  EXPECT_EQ(written<std::int64_t>(plan, "samples"), 1000);
  EXPECT_EQ(written(plan, "link-inter"), "100Gbit/s");
  EXPECT_TRUE(written<bool>(plan, "json"));
  EXPECT_FALSE(parse_command_line({"plan", "--cfg", "a.toml"}).written.contains("ranks"));
  EXPECT_TRUE(written<bool>(parse_command_line({"doctor", "--json"}), "json"));
  EXPECT_EQ(error_of({"plan"}), "plan needs a configuration: --cfg FILE (lora_dist plan --help shows examples)");
  EXPECT_EQ(error_of({"plan", "--cfg", "a", "--ranks", "0"}), "--ranks must be from 1 to 4096 (got 0)");
  EXPECT_EQ(error_of({"plan", "--cfg", "a", "--gpus-per-node", "-1"}), "--gpus-per-node must be from 1 to 4096 (got -1)");
  EXPECT_THAT(error_of({"plan", "--cfg", "a", "--samples", "0"}), HasSubstr("--samples must be from 1 to"));
  EXPECT_THAT(error_of({"plan", "--cfg", "a", "--tokens-per-sample", "0"}), HasSubstr("--tokens-per-sample must be from 1 to"));
  EXPECT_THAT(error_of({"plan", "--cfg", "a", "--tokens-per-sequence", "-1"}),
              HasSubstr("--tokens-per-sequence must be from 1 to"));
}

TEST(CommandLine, ATildeIsTheHomeFolder) {
  const std::string before = std::getenv("HOME") == nullptr ? "" : std::getenv("HOME");
  ::setenv("HOME", "/home/ada", 1);
  const ModelOptions model = stored(describe_model_options, {"--model=~/m", "--adapter", "~/a"});
  const ConfigOptions config = stored(describe_config_options, {"--cfg=~/c.toml"});
  const CommandLine inspect = parse_command_line({"inspect", "~/runs"});
  ::setenv("HOME", before.c_str(), 1);
  EXPECT_EQ(model.model, "/home/ada/m");
  EXPECT_EQ(model.adapter, "/home/ada/a");
  EXPECT_EQ(config.cfg, "/home/ada/c.toml");
  EXPECT_EQ(*inspect.use.path, "/home/ada/runs");
}

TEST(CommandLine, HelpAndVersionAskForNothingElse) {
  EXPECT_TRUE(parse_command_line({"--help"}).help);
  EXPECT_TRUE(parse_command_line({"-h"}).help);
  EXPECT_TRUE(parse_command_line({"--version"}).version);
  for (const Command& command : commands()) {
    EXPECT_TRUE(parse_command_line({std::string(command.name), "--help"}).help);
  }
}

TEST(CommandLine, UnknownCommandsAndOptionsNameTheNearest) {
  EXPECT_EQ(error_of({"trian"}), "unknown command trian; the nearest is train (lora_dist --help lists them)");
  EXPECT_EQ(error_of({"--config", "x"}),
            "train has no option --config; the nearest is --cfg (lora_dist train --help lists them)");
  EXPECT_EQ(error_of({"--confg=x"}), "train has no option --confg; the nearest is --cfg (lora_dist train --help lists them)");
  EXPECT_EQ(error_of({"--prin"}), "train has no option --prin (lora_dist train --help lists them)");
  EXPECT_EQ(error_of({"score", "--top_p", "1"}), "score has no option --top_p (lora_dist score --help lists them)");
  EXPECT_EQ(error_of({"frobnicate"}), "unknown command frobnicate (lora_dist --help lists them)");
  EXPECT_EQ(error_of({"generate", "--top_p", "1"}),
            "generate has no option --top_p; the nearest is --top-p (lora_dist generate --help lists them)");
}

TEST(CommandLine, MissingAndSurplusWords) {
  EXPECT_EQ(error_of({}), "train needs a configuration: --cfg FILE (lora_dist train --help shows examples)");
  EXPECT_EQ(error_of({"eval"}), "eval needs a configuration: --cfg FILE (lora_dist eval --help shows examples)");
  EXPECT_EQ(error_of({"--cfg", "a", "eval"}), "unexpected word eval: a command comes first, and options start with --");
  EXPECT_THAT(error_of({"--cfg"}), HasSubstr("the required argument for option '--cfg' is missing (lora_dist train --help"));
  EXPECT_THAT(error_of({"--cfg", "a", "--cfg", "b"}), HasSubstr("option '--cfg' cannot be specified more than once"));
  EXPECT_EQ(error_of({"score", "--input", "i", "--output", "o"}),
            "score needs --model DIR (lora_dist score --help shows examples)");
  EXPECT_EQ(error_of({"score"}),
            "score needs --model DIR, --input FILE and --output FILE (lora_dist score --help shows "
            "examples)");
  EXPECT_EQ(error_of({"score", "--model", "m", "--input", "i"}),
            "score needs --output FILE (lora_dist score --help shows examples)");
  EXPECT_EQ(error_of({"generate"}),
            "generate needs --model DIR and either --prompt TEXT or --input FILE (lora_dist generate "
            "--help shows examples)");
  EXPECT_EQ(error_of({"generate", "--model", "m"}),
            "generate needs either --prompt TEXT or --input FILE (lora_dist generate --help shows examples)");
  EXPECT_EQ(error_of({"generate", "--model", "m", "--prompt", "", "--input", "i"}),
            "generate needs either --prompt TEXT or --input FILE (lora_dist generate --help shows examples)");
  EXPECT_EQ(error_of({"inspect"}), "inspect needs the path of a checkpoint, adapter or model folder");
  EXPECT_EQ(error_of({"inspect", "a", "b"}), "inspect takes one path");
}

TEST(CommandLine, ValuesOutOfRange) {
  const auto generate = [](const std::string& option, const std::string& value) {
    return error_of({"generate", "--model", "m", "--prompt", "p", option, value});
  };
  EXPECT_EQ(generate("--max-new-tokens", "0"), "--max-new-tokens must be at least 1 (got 0)");
  EXPECT_EQ(generate("--temperature", "-1"), "--temperature must be at least 0 (got -1)");
  EXPECT_EQ(generate("--temperature", "nan"), "--temperature must be at least 0 (got nan)");
  EXPECT_EQ(generate("--temperature", "inf"), "--temperature must be at least 0 (got inf)");
  EXPECT_EQ(generate("--top-p", "0"), "--top-p must be above 0 and at most 1 (got 0)");
  EXPECT_EQ(generate("--top-p", "1.1"), "--top-p must be above 0 and at most 1 (got 1.1)");
  EXPECT_EQ(generate("--top-k", "-1"), "--top-k must be at least 0 (got -1)");
  EXPECT_EQ(generate("--repetition-penalty", "0"), "--repetition-penalty must be above 0 (got 0)");
  EXPECT_EQ(generate("--seed", "-1"), "--seed must be at least 0 (got -1)");
  EXPECT_EQ(generate("--watchdog-seconds", "-1"), "--watchdog-seconds must be at least 0 (got -1)");
  EXPECT_THAT(generate("--top-k", "many"), HasSubstr("the argument ('many') for option '--top-k' is invalid"));
  EXPECT_THAT(generate("--max-new-tokens", "99999999999999999999"), HasSubstr("is invalid"));
  EXPECT_EQ(generate("--quantization", "nf5"), "--quantization must be one of none, nf4, fp4, int8 (got nf5)");
}

TEST(Help, ListsCommandsOptionsAndKeys) {
  const std::string program = help_text(parse_command_line({"--help"}));
  for (const Command& command : commands()) {
    EXPECT_THAT(program, HasSubstr("\n  " + std::string(command.name) + " "));
  }
  EXPECT_THAT(program, HasSubstr("mpirun -np 8 lora_dist --cfg medical.toml\n"));
  const std::string train = help_text(parse_command_line({"train", "--help"}));
  EXPECT_THAT(train, HasSubstr("--set section.key=value"));
  EXPECT_THAT(train, HasSubstr("learning_rate = 0.0002"));
  EXPECT_THAT(train, HasSubstr("relative to the folder that the program\nis started in"));
  for (const Command& command : commands()) {
    const std::string text = help_text(parse_command_line({std::string(command.name), "--help"}));
    EXPECT_THAT(text, HasSubstr("Examples:\n  ")) << command.name;
  }
}

TEST(Version, NamesWhatTheProgramIsBuiltOn) {
  const std::string text = version_text();
  for (const char* what : {"lora_dist ", "compiler ", "MPI ", "HDF5 ", "oneDNN "}) {
    EXPECT_THAT(text, HasSubstr(what));
  }
#if defined(LORA_DIST_WITH_CUDA)
  EXPECT_THAT(text, ContainsRegex("\nCUDA      [1-9][0-9]+\\.[0-9], driver ([0-9]+\\.[0-9]|none), devices [0-9]+\n"));
#else
  EXPECT_THAT(text, HasSubstr("\nCUDA      none\nNCCL      none\n"));
#endif
  std::ifstream file(LORA_DIST_SOURCE_DIR "/CMakeLists.txt");
  std::stringstream cmake;
  cmake << file.rdbuf();
  const std::string version = text.substr(10, text.find('\n') - 10);
  EXPECT_THAT(cmake.str(), HasSubstr("project(lora_dist VERSION " + version + " "));
}

}  // namespace
}  // namespace lora_dist::command_line_test
