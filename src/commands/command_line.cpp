// The command line, by Boost.Program_options.
#include "src/commands/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options/parsers.hpp>
#include <boost/program_options/positional_options.hpp>
#include <boost/program_options/value_semantic.hpp>

#include "src/commands/option_values.h"
#include "src/config/nearest_name.h"
#include "src/io/user_path.h"

namespace lora_dist {
namespace {

namespace po = boost::program_options;

constexpr const char* kWords = "words";  // the positional arguments

std::string suggestion(const char* dashes, std::string_view similar) {
  return similar.empty() ? "" : fmt::format("; the nearest is {}{}", dashes, similar);
}

const Command& command_of(const std::string& word) {
  std::vector<std::string_view> names;
  for (const Command& command : commands()) {
    if (command.name == word) {
      return command;
    }
    names.push_back(command.name);
  }
  fail_usage(fmt::format("unknown command {}{} (lora_dist --help lists them)", word, suggestion("", similar_name(word, names))));
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

/// Parses the options of `shown` and positional arguments; stores no values yet.
po::variables_map parse_options(const std::vector<std::string>& arguments, const po::options_description& shown,
                                std::string_view command) {
  po::options_description options;
  options.add(shown);
  options.add_options()(kWords, po::value<std::vector<std::string>>());
  const po::positional_options_description positional = po::positional_options_description().add(kWords, -1);
  po::variables_map written;
  try {
    const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(arguments).options(options).positional(positional).style(style).run(), written);
  } catch (const po::unknown_option& error) {
    const std::string name = without_dashes(error.get_option_name());
    fail_usage(fmt::format("{} has no option --{}{} (lora_dist {} --help lists them)", command, name, similar_option(name, shown),
                           command));
  } catch (const po::error& error) {
    fail_usage(fmt::format("{} (lora_dist {} --help lists the options)", error.what(), command));
  }
  return written;
}

/// Positional arguments: a path, if the command takes one.
void take_words(const CommandLine& line) {
  if (!line.written.contains(kWords)) {
    return;
  }
  const auto& words = line.written[kWords].as<std::vector<std::string>>();
  if (line.use.path == nullptr) {
    fail_usage(fmt::format("unexpected word {}: a command comes first, and options start with --", words[0]));
  }
  if (words.size() != 1) {
    fail_usage(fmt::format("{} takes one path", line.command->name));
  }
  *line.use.path = expand_home(words[0]);
}

}  // namespace

po::options_description options_of(const CommandUse& use) {
  po::options_description options(use.options);
  options.add_options()                            //
      ("help,h", po::bool_switch(), "print this")  //
      ("version", po::bool_switch(), "print the versions of the program and of what it is built on");
  return options;
}

CommandLine parse_command_line(const std::vector<std::string>& arguments) {
  const bool given = !arguments.empty() && !arguments[0].empty() && arguments[0][0] != '-';
  const Command& command = command_of(given ? arguments[0] : "train");
  CommandLine line{&command, given, false, false, {}, command.use()};
  line.written = parse_options({arguments.begin() + (given ? 1 : 0), arguments.end()}, options_of(line.use), command.name);
  line.help = line.written["help"].as<bool>();
  line.version = line.written["version"].as<bool>();
  take_words(line);
  if (!line.help && !line.version) {
    po::notify(line.written);
    line.use.check();
  }
  return line;
}

}  // namespace lora_dist
