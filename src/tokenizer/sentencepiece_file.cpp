// The wire format of protobuf (protobuf.dev/programming-guides/encoding) and the fields of sentencepiece_model.proto.
#include "src/tokenizer/sentencepiece_file.h"

#include <cstring>
#include <functional>
#include <stdexcept>

namespace lora_dist {
namespace {

struct Field {
  std::uint64_t number = 0;
  std::uint64_t value = 0;   // a varint, or the bits of a fixed-size number
  std::string_view bytes{};  // a string or message
};

std::uint64_t take_varint(std::string_view& rest) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (rest.empty()) {
      break;
    }
    const auto byte = static_cast<unsigned char>(rest[0]);
    rest.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) {
      return value;
    }
  }
  throw std::runtime_error("a number is cut off");
}

std::string_view take_bytes(std::string_view& rest, std::uint64_t size) {
  if (size > rest.size()) {
    throw std::runtime_error("a field is cut off");
  }
  const std::string_view bytes = rest.substr(0, size);
  rest.remove_prefix(size);
  return bytes;
}

std::uint64_t take_fixed(std::string_view& rest, std::size_t size) {
  std::uint64_t value = 0;
  std::memcpy(&value, take_bytes(rest, size).data(), size);  // little-endian, like this machine
  return value;
}

void for_each_field(std::string_view message, const std::function<void(const Field&)>& use) {
  while (!message.empty()) {
    const std::uint64_t key = take_varint(message);
    Field field{key >> 3U};
    switch (key & 7U) {
      case 0:
        field.value = take_varint(message);
        break;
      case 1:
        field.value = take_fixed(message, 8);
        break;
      case 2:
        field.bytes = take_bytes(message, take_varint(message));
        break;
      case 5:
        field.value = take_fixed(message, 4);
        break;
      default:
        throw std::runtime_error("a field has an unknown type");
    }
    use(field);
  }
}

float float_of(std::uint64_t bits) {
  const auto low = static_cast<std::uint32_t>(bits);
  float value = 0;
  std::memcpy(&value, &low, sizeof value);
  return value;
}

SentencePieceFile::Piece read_piece(std::string_view message) {
  SentencePieceFile::Piece out;
  for_each_field(message, [&](const Field& field) {
    if (field.number == 1) {
      out.text = field.bytes;
    } else if (field.number == 2) {
      out.score = float_of(field.value);
    } else if (field.number == 3) {
      out.type = static_cast<PieceType>(field.value);
    }
  });
  return out;
}

void read_trainer(std::string_view message, SentencePieceFile& out) {
  const auto is_id = [](std::uint64_t value) { return static_cast<std::int32_t>(value) >= 0; };
  for_each_field(message, [&](const Field& field) {
    switch (field.number) {
      case 3:
        out.is_bpe = field.value == 2;
        break;
      case 35:
        out.byte_fallback = field.value != 0;
        break;
      case 40:
        out.has_unk = is_id(field.value);
        break;
      case 41:
        out.has_bos = is_id(field.value);
        break;
      case 42:
        out.has_eos = is_id(field.value);
        break;
      case 45:
        out.unk = field.bytes;
        break;
      case 46:
        out.bos = field.bytes;
        break;
      case 47:
        out.eos = field.bytes;
        break;
      default:
        break;
    }
  });
}

void read_normalizer_spec(std::string_view message, SentencePieceFile& out) {
  for_each_field(message, [&](const Field& field) {
    if (field.number == 2) {
      out.has_charsmap = !field.bytes.empty();
    } else if (field.number == 3) {
      out.dummy_prefix = field.value != 0;
    } else if (field.number == 4) {
      out.merges_spaces = field.value != 0;
    } else if (field.number == 5) {
      out.escapes_spaces = field.value != 0;
    }
  });
}

}  // namespace

SentencePieceFile read_sentencepiece_file(std::string_view bytes) {
  SentencePieceFile out;
  for_each_field(bytes, [&](const Field& field) {
    if (field.number == 1) {
      out.pieces.push_back(read_piece(field.bytes));
    } else if (field.number == 2) {
      read_trainer(field.bytes, out);
    } else if (field.number == 3) {
      read_normalizer_spec(field.bytes, out);
    }
  });
  return out;
}

}  // namespace lora_dist
