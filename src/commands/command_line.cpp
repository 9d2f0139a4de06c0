// The command line, by Boost.Program_options.
#include "src/commands/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/positional_options.hpp>
#include <boost/program_options/variables_map.hpp>
#include <cmath>

#include "kernels/common/block_size.h"
#include "src/commands/command_options.h"
#include "src/commands/command_table.h"
#include "src/config/nearest_name.h"
#include "src/core/error.h"
#include "src/io/user_path.h"

namespace lora_dist {
namespace {

namespace po = boost::program_options;

/// Every rank reads the same command line and finds the same fault.
[[noreturn]] void fail(const std::string& message) { throw Error(ExitCode::usage, message, Noticed::every_rank); }

std::string suggestion(const char* dashes, std::string_view similar) {
  return similar.empty() ? "" : fmt::format("; the nearest is {}{}", dashes, similar);
}

std::string command_of(const std::string& word) {
  std::vector<std::string_view> names;
  for (const Command& command : commands()) {
    if (command.name == word) {
      return word;
    }
    names.push_back(command.name);
  }
  fail(fmt::format("unknown command {}{} (lora_dist --help lists them)", word, suggestion("", similar_name(word, names))));
}

std::string similar_option(const std::string& name, const po::options_description& options) {
  std::vector<std::string_view> names;
  for (const auto& option : options.options()) {
    names.push_back(option->long_name());
  }
  return suggestion("--", similar_name(name, names));
}

/// "--foo" of "--foo", "--foo=3" and "foo".
std::string without_dashes(const std::string& option) {
  const std::size_t begin = std::min(option.find_first_not_of('-'), option.size());
  return option.substr(begin, option.find('=') == std::string::npos ? std::string::npos : option.find('=') - begin);
}

void parse_options(const std::vector<std::string>& arguments, CommandLine& line) {
  const po::options_description shown = options_of(line.command, line);
  po::options_description options;
  options.add(shown);
  std::vector<std::string> words;
  options.add_options()("words", po::value(&words));
  const po::positional_options_description positional = po::positional_options_description().add("words", -1);
  try {
    const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    po::variables_map values;
    po::store(po::command_line_parser(arguments).options(options).positional(positional).style(style).run(), values);
    po::notify(values);
    line.has_prompt = values.count("prompt") > 0;
    for (const auto& [name, value] : values) {
      line.given.insert(name);
    }
  } catch (const po::unknown_option& error) {
    const std::string name = without_dashes(error.get_option_name());
    fail(fmt::format("{} has no option --{}{} (lora_dist {} --help lists them)", line.command, name, similar_option(name, shown),
                     line.command));
  } catch (const po::error& error) {
    fail(fmt::format("{} (lora_dist {} --help lists the options)", error.what(), line.command));
  }
  if (line.command == "inspect" && words.size() == 1) {
    line.path = words[0];
  } else if (!words.empty()) {
    fail(line.command == "inspect"
             ? std::string("inspect takes one path")
             : fmt::format("unexpected word {}: a command comes first, and options start with --", words[0]));
  }
}

/// Everything that score, generate, merge and quantize cannot do without and that is not there, in one sentence.
void check_required(const CommandLine& line) {
  std::vector<std::string> missing;
  const bool configured = line.command == "quantize" && !(line.cfg.empty() && line.sets.empty());
  if (line.model.empty() && !configured) {
    missing.emplace_back("--model DIR");
  }
  if (line.command == "merge" && line.adapters.empty()) {
    missing.emplace_back("--adapter DIR");
  }
  if ((line.command == "merge" || line.command == "quantize") && line.output.empty()) {
    missing.emplace_back("--output DIR");
  }
  if (line.command == "score" && line.input.empty()) {
    missing.emplace_back("--input FILE");
  }
  if (line.command == "score" && line.output.empty()) {
    missing.emplace_back("--output FILE");
  }
  if (line.command == "generate" && line.has_prompt == !line.input.empty()) {
    missing.emplace_back("either --prompt TEXT or --input FILE");
  }
  if (missing.empty()) {
    return;
  }
  std::string list = missing.front();
  for (std::size_t i = 1; i < missing.size(); ++i) {
    list += (i + 1 < missing.size() ? ", " : " and ") + missing[i];
  }
  fail(fmt::format("{} needs {} (lora_dist {} --help shows examples)", line.command, list, line.command));
}

void check_generate(const CommandLine& line) {
  if (line.input.empty() && !line.output.empty()) {
    fail("--output goes with --input; the answer to --prompt is printed");
  }
  if (line.max_new_tokens < 1) {
    fail(fmt::format("--max-new-tokens must be at least 1 (got {})", line.max_new_tokens));
  }
  if (!(line.temperature >= 0.0) || std::isinf(line.temperature)) {
    fail(fmt::format("--temperature must be at least 0 (got {})", line.temperature));
  }
  if (!(line.top_p > 0.0 && line.top_p <= 1.0)) {
    fail(fmt::format("--top-p must be above 0 and at most 1 (got {})", line.top_p));
  }
  if (line.top_k < 0) {
    fail(fmt::format("--top-k must be at least 0 (got {})", line.top_k));
  }
  if (!(line.repetition_penalty > 0.0) || std::isinf(line.repetition_penalty)) {
    fail(fmt::format("--repetition-penalty must be above 0 (got {})", line.repetition_penalty));
  }
  if (line.seed < 0) {
    fail(fmt::format("--seed must be at least 0 (got {})", line.seed));
  }
}

void check_word(const char* option, const std::string& value, std::initializer_list<const char*> words) {
  if (std::find(words.begin(), words.end(), value) == words.end()) {
    fail(fmt::format("{} must be one of {} (got {})", option, fmt::join(words, ", "), value));
  }
}

/// Numbers of `plan`, where they were written.
void check_plan(const CommandLine& line) {
  const auto check = [&](const std::string& option, std::int64_t value, std::int64_t most) {
    if (line.given.contains(option) && (value < 1 || value > most)) {
      fail(fmt::format("--{} must be from 1 to {} (got {})", option, most, value));
    }
  };
  constexpr std::int64_t kMany = std::int64_t{1} << 40;
  check("ranks", line.plan.ranks, kMostRanks);
  check("gpus-per-node", line.plan.gpus_per_node, kMostRanks);
  check("samples", line.plan.samples, kMany);
  check("tokens-per-sample", line.plan.tokens_per_sample, kMany);
  check("tokens-per-sequence", line.plan.tokens_per_sequence, kMany);
}

void check_values(const CommandLine& line) {
  if (line.command == "score" || line.command == "generate" || line.command == "merge" || line.command == "quantize") {
    check_required(line);
    if (!is_block_size(line.block_size)) {
      fail(fmt::format("--block-size must be a power of two from {} to {} (got {})", kSmallestBlock, kLargestBlock,
                       line.block_size));
    }
    check_word("--quantization", line.quantization, {"none", "nf4", "fp4", "int8"});
    check_word("--backend", line.backend, {"auto", "cpu", "cuda"});
    check_word("--onto", line.onto, {"dequantized", "full"});
    check_word("--compute-dtype", line.compute_dtype, {"auto", "fp32", "bf16", "fp16"});
  }
  if (line.samples < 0) {
    fail(fmt::format("--samples must be at least 0 (got {})", line.samples));
  }
  if (line.command == "plan") {
    check_plan(line);
  }
  if (line.command == "generate") {
    check_generate(line);
  } else if (line.command == "inspect") {
    if (line.path.empty()) {
      fail("inspect needs the path of a checkpoint, adapter or model folder");
    }
  } else if (line.command != "doctor" && line.command != "score" && line.command != "merge" && line.command != "quantize" &&
             line.cfg.empty() && line.sets.empty() && !line.print_config) {
    fail(fmt::format("{} needs a configuration: --cfg FILE (lora_dist {} --help shows examples)", line.command, line.command));
  }
}

/// ~ in every path; a shell leaves it alone in --model=~/x.
void expand_paths(CommandLine& line) {
  for (std::string* path :
       {&line.cfg, &line.model, &line.adapter, &line.input, &line.output, &line.text, &line.path, &line.plan.link}) {
    *path = expand_home(*path);
  }
  for (std::string& adapter : line.adapters) {
    adapter = expand_home(adapter);
  }
}

}  // namespace

CommandLine parse_command_line(const std::vector<std::string>& arguments) {
  CommandLine line;
  std::vector<std::string> options = arguments;
  if (!options.empty() && !options[0].empty() && options[0][0] != '-') {
    line.command = command_of(options[0]);
    line.command_given = true;
    options.erase(options.begin());
  }
  parse_options(options, line);
  expand_paths(line);
  if (!line.help && !line.version) {
    check_values(line);
  }
  return line;
}

}  // namespace lora_dist
