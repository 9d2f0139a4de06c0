// Writes and reads the record.
#include "src/adapter/adapter_origin.h"

#include <fmt/format.h>

#include "kernels/common/block_size.h"
#include "src/adapter/adapter_folders.h"
#include "src/core/error.h"
#include "src/io/strict_json.h"

namespace lora_dist {

namespace {

constexpr const char* kKey = "base_format";

}  // namespace

nlohmann::json json_of(const BaseFormat& format) {
  return {{"quantization", name_of(format.quantization)}, {"double_quant", format.nested()}, {"block_size", format.block_size}};
}

std::optional<BaseFormat> base_format_in(const nlohmann::json& origin, const std::filesystem::path& location) {
  if (!origin.is_object() || !origin.contains(kKey)) {
    return std::nullopt;
  }
  const nlohmann::json& record = origin[kKey];
  try {
    const BaseFormat format = base_format(record.at("quantization").get<std::string>(), record.at("double_quant").get<bool>(),
                                          record.at("block_size").get<std::int64_t>());
    if (!record.at("block_size").is_number_integer() || !is_block_size(format.block_size)) {
      throw Error(ExitCode::usage,
                  fmt::format("block_size is {}, which is out of range", record.at("block_size").dump().substr(0, 40)));
    }
    return format;
  } catch (const nlohmann::json::exception&) {
    throw Error(ExitCode::model,
                fmt::format("{}: {} must hold quantization, double_quant and block_size", location.string(), kKey));
  } catch (const Error& error) {
    throw Error(ExitCode::model, fmt::format("{}: {}: {}", location.string(), kKey, error.what()));
  }
}

namespace {

/// The record of an adapter's folder, or of the first of several; null: there is none.
nlohmann::json origin_of_adapter(const std::filesystem::path& adapter) {
  const std::filesystem::path file = adapter_folders(adapter).front() / kOriginFile;
  std::error_code ignored;
  return std::filesystem::exists(file, ignored) ? read_json_file(file, ExitCode::model) : nlohmann::json();
}

/// The record's value; null: it has none.
nlohmann::json recorded(const nlohmann::json& origin, const char* key) {
  return origin.is_object() ? origin.value(key, nlohmann::json()) : nlohmann::json();
}

}  // namespace

std::optional<BaseFormat> recorded_base_format(const std::filesystem::path& adapter) {
  return base_format_in(origin_of_adapter(adapter), adapter_folders(adapter).front() / kOriginFile);
}

bool makes_up_for_quantization(const std::filesystem::path& adapter) {
  return recorded(origin_of_adapter(adapter), kInitKey) == word_of(kLoraInits, LoraInit::loftq);
}

void check_folders_belong_together(const std::filesystem::path& folder, std::span<const std::filesystem::path> folders) {
  if (folders.front() == folder) {
    return;
  }
  nlohmann::json names = nlohmann::json::array();  // in the order of MethodChoice, as the records have them
  for (const std::filesystem::path& each : folders) {
    names.push_back(each.filename().string());
  }
  nlohmann::json first;
  for (const std::filesystem::path& each : folders) {
    const nlohmann::json origin = read_json_file(each / kOriginFile, ExitCode::model);
    if (const nlohmann::json methods = recorded(origin, kMethodsKey); methods != names) {
      throw Error(
          ExitCode::model,
          fmt::format("{}: its folders are not those of the methods that were trained together, of which {} records {}; only "
                      "together they are what was trained. Take another copy, or give one folder alone",
                      folder.string(), (each / kOriginFile).string(), methods.dump()));
    }
    const nlohmann::json run = {recorded(origin, "configuration_digest"), recorded(origin, "step")};
    first = first.is_null() ? run : first;
    if (run != first) {
      throw Error(ExitCode::model,
                  fmt::format("{}: {} is of another run or step than {}; take another copy, or give one folder alone",
                              folder.string(), each.filename().string(), folders.front().filename().string()));
    }
  }
}

}  // namespace lora_dist
