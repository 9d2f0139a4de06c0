// Writes JSON lines without escaping: all strings are this program's literals.
#include "src/comm/flight_record.h"

#include <fmt/format.h>

#include <fstream>

#include "src/core/activity.h"

namespace lora_dist {

std::filesystem::path flight_file(const std::filesystem::path& folder, int rank) {
  return folder / fmt::format("flight_{:05}.jsonl", rank);
}

bool write_flight_record(const std::filesystem::path& folder, int rank) {
  const Activity at = activity();
  std::string text =
      fmt::format("{{\"rank\":{},\"time\":{:.6f},\"at\":\"{}\",\"at_seconds\":{:.3f},\"step\":{},\"idle_seconds\":{:.3f}}}\n",
                  rank, seconds_since_1970(), at.what, at.what_seconds, at.step, at.idle_seconds);
  for (const CollectiveRecord& record : last_collectives()) {
    text += fmt::format(
        "{{\"group\":{},\"ranks\":\"{}\",\"number\":{},\"name\":\"{}\",\"what\":\"{}\",\"bytes\":{},\"step\":{},"
        "\"begun\":{:.6f},\"ended\":{}}}\n",
        record.group, record.ranks, record.number, record.name, record.what, record.bytes, record.step, record.begun,
        record.ended > 0.0 ? fmt::format("{:.6f}", record.ended) : "null");
  }
  std::ofstream file(flight_file(folder, rank), std::ios::trunc);
  file << text;
  file.close();
  return file.good();
}

}  // namespace lora_dist
