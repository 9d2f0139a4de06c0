// Formats the report as lines of text.
#include "src/data/report.h"

#include <fmt/format.h>

namespace lora_dist {
namespace {

std::string set_line(const char* name, const SetReport& set) {
  const double share = set.tokens == 0 ? 0.0 : 100.0 * static_cast<double>(set.trained_tokens) / static_cast<double>(set.tokens);
  return fmt::format(
      "{}: {} samples, {} tokens, {} trained ({:.1f} %); length: median {}, 90th percentile {}, 99th {}, longest {}", name,
      set.samples, set.tokens, set.trained_tokens, share, set.length_percentiles[0], set.length_percentiles[1],
      set.length_percentiles[2], set.length_percentiles[3]);
}

/// "a", "a and b", "a, b and c".
std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    out += (i == 0 ? "" : i + 1 < names.size() ? ", " : " and ") + names[i];
  }
  return out;
}

std::string quoted_list(const std::set<std::string>& names) {
  constexpr std::size_t kMost = 8;
  std::vector<std::string> quoted;
  for (const std::string& name : names) {
    if (quoted.size() == kMost) {
      quoted.push_back(fmt::format("{} more", names.size() - kMost));
      break;
    }
    quoted.push_back("\"" + name + "\"");
  }
  return listed(quoted);
}

void add_bad_rows(const FileReport& file, std::vector<std::string>& lines) {
  std::map<std::string, std::int64_t> reasons;
  for (const BadRow& bad : file.bad_rows) {
    ++reasons[bad.reason];
  }
  constexpr std::size_t kShown = 10;
  std::size_t shown = 0;
  for (const auto& [reason, count] : reasons) {
    if (++shown > kShown) {
      const std::size_t more = reasons.size() - kShown;
      lines.push_back(fmt::format("  ... and {} more reason{}", more, more == 1 ? "" : "s"));
      break;
    }
    lines.push_back(fmt::format("  {} row{} skipped: {}", count, count == 1 ? "" : "s", reason));
  }
}

}  // namespace

std::string FileReport::kind() const {
  std::vector<std::string> parts;
  for (const auto& [name, count] : kinds) {
    parts.push_back(kinds.size() == 1 ? name : fmt::format("{} ({})", name, count));
  }
  return parts.empty() ? "none" : listed(parts);
}

std::string FileReport::template_name() const {
  std::set<std::string> names;
  for (const auto& [kind, name] : templates) {
    names.insert(name);
  }
  return names.empty() ? "none" : listed({names.begin(), names.end()});
}

std::vector<std::string> notes_on_columns(const FileReport& file) {
  std::vector<std::string> notes;
  if (!file.unused_columns.empty()) {
    notes.push_back("not used, though it may be part of the samples: " + quoted_list(file.unused_columns));
  }
  if (!file.unknown_flags.empty()) {
    notes.push_back("looks like a flag of what is trained and is not known: " + quoted_list(file.unknown_flags) +
                    " (known are train, trainable, loss, loss_mask, weight, mask and train_detail)");
  }
  return notes;
}

std::vector<std::string> render_report(const DatasetReport& report, SetApart how) {
  std::vector<std::string> lines;
  for (const FileReport& file : report.files) {
    lines.push_back(fmt::format("{} {}: {} rows, {}, format {}, {}", file.validation ? "validation" : "train", file.path,
                                file.rows, file.container, file.kind(),
                                file.templates.empty() ? "no template" : "template " + file.template_name()));
    for (const auto& [kind, turns] : file.turns) {
      if (!turns.empty()) {
        lines.push_back(fmt::format("  {}: {}  (trained in brackets)", kind, turns));
      }
    }
    if (file.truncated > 0) {
      lines.push_back(fmt::format("  {} cut to data.max_length", file.truncated));
    }
    if (file.empty_answers > 0) {
      lines.push_back(fmt::format("  {} answers not trained: empty, or not printed by the chat template", file.empty_answers));
    }
    add_bad_rows(file, lines);
    for (const auto& [reason, count] : file.dropped) {
      lines.push_back(fmt::format("  {} dropped: {}", count, reason));
    }
  }
  if (!report.special_tokens.empty()) {
    lines.push_back("special tokens: " + report.special_tokens);
  }
  lines.push_back(set_line("train", report.train));
  if (report.validation.samples > 0) {
    lines.push_back(set_line("validation", report.validation));
  }
  for (const std::string& note : report.notes) {
    lines.push_back("note: " + note);
  }
  if (!report.shown_sample.empty()) {
    const std::vector<std::string> sample = render_shown_text(report.shown_sample, how);
    lines.insert(lines.end(), sample.begin(), sample.end());
  }
  return lines;
}

}  // namespace lora_dist
