// Reads the include lines of one source file.
#include "tests/layout/include_arrows.h"

#include <algorithm>
#include <array>
#include <optional>
#include <regex>
#include <sstream>

namespace lora_dist {

namespace {

constexpr int kMostLines = 400;

// A folder may include itself and every folder before it.
constexpr std::array<std::string_view, 18> kChain = {
    "kernels/common", "kernels/<op>", "src/core",        "src/comm",      "src/io",         "src/model",
    "src/base",       "src/adapter",  "src/transformer", "src/inference", "src/checkpoint", "src/convert",
    "src/report",     "src/job",      "src/eval",        "src/train",     "src/plan",       "src/commands"};

// Folders outside the chain: the folders that each may include, and the first folder of the chain that may include it.
struct SideFolder {
  std::string_view name;
  std::array<std::string_view, 5> may_include;
  std::string_view first_user;
};
constexpr std::array<SideFolder, 5> kSide = {{
    {"src/config", {"kernels/common", "src/core", "src/io"}, "src/report"},
    {"src/tokenizer", {"kernels/common", "src/core", "src/io"}, "src/report"},
    {"src/chat_template", {"kernels/common", "src/core", "src/io"}, "src/report"},
    {"src/data", {"kernels/common", "src/core", "src/io", "src/tokenizer", "src/chat_template"}, "src/report"},
    {"src/doctor", {"kernels/common", "src/core", "src/comm", "src/io"}, "src/commands"},
}};

// The only folder that may include each external library; src/commands reads command lines.
struct LibraryHome {
  std::string_view header;  // prefix of the name between < and >
  std::array<std::string_view, 2> folders;
};
constexpr std::array<LibraryHome, 4> kHomes = {
    {{"mpi.h", {"src/comm"}}, {"nccl.h", {"src/comm"}}, {"hdf5", {"src/io"}}, {"boost/", {"src/config", "src/commands"}}}};

/// "src/transformer/block.h" -> "src/transformer", "kernels/rope/rope.h" -> "kernels/<op>", "src/main.cpp" -> "src/main".
std::string_view folder_of(std::string_view path) {
  if (path.starts_with("kernels/") && !path.starts_with("kernels/common/")) {
    return "kernels/<op>";
  }
  const std::size_t second = path.find('/', path.find('/') + 1);
  return second == std::string_view::npos ? std::string_view("src/main") : path.substr(0, second);
}

/// "kernels/rope/rope.h" -> "kernels/rope".
std::string_view operator_of(std::string_view path) {
  return path.substr(0, path.find('/', std::string_view("kernels/").size()));
}

int place_in_chain(std::string_view folder) {
  const auto* const found = std::find(kChain.begin(), kChain.end(), folder);
  return found == kChain.end() ? -1 : static_cast<int>(found - kChain.begin());
}

const SideFolder* side_folder(std::string_view folder) {
  const auto* const found = std::find_if(kSide.begin(), kSide.end(), [&](const SideFolder& side) { return side.name == folder; });
  return found == kSide.end() ? nullptr : found;
}

bool may_include(std::string_view path, std::string_view header) {
  const std::string_view from = folder_of(path);
  const std::string_view to = folder_of(header);
  if (from == "src/main") {
    return to != "src/main";
  }
  if (from == "kernels/<op>" && to == from) {
    return operator_of(path) == operator_of(header);
  }
  if (from == to) {
    return true;
  }
  if (const SideFolder* side = side_folder(from); side != nullptr) {
    return std::find(side->may_include.begin(), side->may_include.end(), to) != side->may_include.end();
  }
  if (const SideFolder* side = side_folder(to); side != nullptr) {
    return place_in_chain(from) >= place_in_chain(side->first_user);
  }
  return place_in_chain(to) >= 0 && place_in_chain(to) < place_in_chain(from);
}

std::optional<std::string> complaint_about_include(std::string_view path, const std::string& name, bool quoted) {
  if (quoted) {
    if (!name.starts_with("src/") && !name.starts_with("kernels/")) {
      return "\"" + name + "\" is not written from the repository root (src/..., kernels/...)";
    }
    if (!may_include(path, name)) {
      return std::string(folder_of(path)) + " may not include " + name + " (docs/architecture.md shows the direction)";
    }
    return std::nullopt;
  }
  const auto* const home =
      std::find_if(kHomes.begin(), kHomes.end(), [&](const LibraryHome& library) { return name.starts_with(library.header); });
  if (home != kHomes.end() && std::find(home->folders.begin(), home->folders.end(), folder_of(path)) == home->folders.end()) {
    return "<" + name + "> may only be included in " + std::string(home->folders[0]);
  }
  return std::nullopt;
}

std::optional<std::string> complaint_about_line(std::string_view path, const std::string& line) {
  static const std::regex include(R"(^\s*#\s*include\s*(["<])([^">]+)[">].*)");
  static const std::regex cuda_condition(R"(^\s*#\s*(if|ifdef|ifndef|elif).*CUDA.*)");
  std::smatch parts;
  if (std::regex_match(line, parts, include)) {
    return complaint_about_include(path, parts[2], parts[1] == "\"");
  }
  // device_code.h asks which compiler reads it, not how the program was built.
  const bool may_ask = path == "kernels/common/dispatch.h" || path == "kernels/common/device_code.h";
  if (!may_ask && std::regex_match(line, cuda_condition)) {
    return "only kernels/common/dispatch.h may ask whether CUDA is there";
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::string> layout_complaints(std::string_view path, std::string_view text) {
  std::vector<std::string> complaints;
  std::istringstream lines{std::string(text)};
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (const auto complaint = complaint_about_line(path, line)) {
      complaints.push_back(std::string(path) + ":" + std::to_string(number) + ": " + *complaint);
    }
  }
  if (number > kMostLines) {
    complaints.push_back(std::string(path) + ":" + std::to_string(number) + ": more than " + std::to_string(kMostLines) +
                         " lines; split it by what its parts do");
  }
  return complaints;
}

}  // namespace lora_dist
