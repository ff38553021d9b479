// Tokenizer::load and parse: from a tokenizer.json to a Tokenizer::State.

#include <algorithm>
#include <fstream>

#include "engine/tokenizer/components.h"
#include "engine/tokenizer/json_field.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/tokenizer_file.h"
#include "engine/tokenizer/tokenizer_state.h"

namespace quire::engine {
namespace {

BpeOptions read_model_options(const JsonField& model, const StringIndex& vocab) {
  const auto must_be_empty = [&](const char* key) {
    if (!model[key].is_null() && !model[key].string().empty())
      model[key].unsupported("only null or an empty string is supported");
  };
  if (!model["type"].is_null() && model["type"].string() != "BPE")
    model["type"].unsupported("only BPE is supported");
  must_be_empty("continuing_subword_prefix");
  must_be_empty("end_of_word_suffix");
  if (!model["dropout"].is_null() && !model["dropout"].is_zero())
    model["dropout"].unsupported("only null or 0 is supported");
  BpeOptions options;
  options.fuse_unk = model["fuse_unk"].boolean_or(false);
  options.byte_fallback = model["byte_fallback"].boolean_or(false);
  options.ignore_merges = model["ignore_merges"].boolean_or(false);
  if (!model["unk_token"].is_null()) {
    options.unk = vocab.find(model["unk_token"].string());
    if (options.unk == kNoToken) model["unk_token"].reject("not in model.vocab");
  }
  return options;
}

MergeTable build_merges(const MergeList& list, const StringIndex& vocab, JsonErrors& errors) {
  MergeTable merges(list.size());
  std::string joined;
  std::size_t previous = 0;  // merges and the words they make are nearly always in one order
  for (std::size_t i = 0; i < list.size(); ++i) {
    const MergeList::Pair pair = list[i];
    joined.assign(pair.left).append(pair.right);
    const TokenId left = vocab.find(pair.left);
    const TokenId right = vocab.find(pair.right);
    const TokenId merged = vocab.find_after(joined, previous);
    if (pair.left.empty() || pair.right.empty() || left == kNoToken || right == kNoToken ||
        merged == kNoToken) {
      errors.add(ErrorCode::kInvalidRequest, "model.merges[" + std::to_string(i) + "]",
                 "a word or what the two make is not in model.vocab");
      break;
    }
    merges.add(left, right, merged);
  }
  return merges;
}

// Checks the added tokens against the vocabulary and each other, and indexes them.
StringIndex index_added_tokens(std::vector<AddedToken>& tokens, const StringIndex& vocab,
                               const JsonField& field) {
  StringIndex index;
  // An empty content can never be found; the package skips it too.
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const AddedToken& token = tokens[i];
    if (token.content.empty()) continue;
    const TokenId known = vocab.find(token.content);
    if (known != kNoToken && known != token.id)
      field[i]["id"].reject("model.vocab gives this content another id");
    if (!index.add(token.content, token.id)) field[i]["content"].reject("appears twice");
  }
  std::erase_if(tokens, [](const AddedToken& token) { return token.content.empty(); });
  return index;
}

// What ids stand for, before decoding; ids without a word have an empty one.
struct Words {
  std::vector<std::string_view> text;
  std::vector<bool> exists;

  void put(TokenId id, std::string_view word) {
    const auto i = static_cast<std::size_t>(id);
    if (i >= text.size()) {
      text.resize(i + 1);
      exists.resize(i + 1);
    }
    text[i] = word;
    exists[i] = true;
  }
  [[nodiscard]] bool has_other(TokenId id, std::string_view word) const {
    const auto i = static_cast<std::size_t>(id);
    return i < text.size() && exists[i] && text[i] != word;
  }
};

Words words_by_id(const StringIndex& vocab, const std::vector<AddedToken>& added,
                  const JsonField& root) {
  Words words;
  for (std::size_t i = 0; i < vocab.size(); ++i) words.put(vocab.entry(i).id, vocab.entry(i).text);
  for (const AddedToken& token : added) {
    if (words.has_other(token.id, token.content))
      root["added_tokens"].reject("an id belongs to two tokens");
    words.put(token.id, token.pattern);
  }
  if (words.text.empty()) root["model"]["vocab"].reject("empty");
  return words;
}

void set_patterns(std::vector<AddedToken>& tokens, const Normalizer& normalizer,
                  const JsonField& field) {
  std::size_t total = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    AddedToken& token = tokens[i];
    std::string storage;
    bool removed_start = false;
    token.pattern = token.normalized
                        ? std::string(normalizer.apply(token.content, storage, removed_start))
                        : token.content;
    total += token.pattern.size();  // one is at most kMaxAddedTokenBytes * kMaxGrowth
    if (total > TokenDecoder::kMaxTotalBytes) return field[i].reject("makes them too large");
  }
}

void sort_added_tokens(const std::vector<AddedToken>& tokens, Tokenizer::State& state) {
  for (const AddedToken& token : tokens)
    if (!token.pattern.empty())
      (token.normalized ? state.normalized_tokens : state.raw_tokens).add(token);
}

TokenDecoder build_decoder(DecoderSpec spec, const Words& words, const JsonField& field) {
  TokenDecoder decoder(std::move(spec));
  for (const std::string_view word : words.text) {
    if (decoder.add(word)) continue;
    field.reject("makes the tokens' texts too large");
    break;
  }
  return decoder;
}

std::vector<bool> special_ids(const std::vector<AddedToken>& tokens, std::size_t vocab_size) {
  std::vector<bool> special(vocab_size);
  for (const AddedToken& token : tokens)
    if (token.special) special[static_cast<std::size_t>(token.id)] = true;
  return special;
}

void check_surround(const Surround& surround, const std::vector<bool>& exists,
                    const JsonField& field) {
  const auto is_missing = [&](TokenId id) {
    return static_cast<std::size_t>(id) >= exists.size() || !exists[static_cast<std::size_t>(id)];
  };
  if (std::any_of(surround.before.begin(), surround.before.end(), is_missing) ||
      std::any_of(surround.after.begin(), surround.after.end(), is_missing))
    field.reject("an id is not in the vocabulary");
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::parse(std::string_view json, std::string_view name) {
  Result<TokenizerFile> read = read_tokenizer_json(json, name);
  if (!read) return read.error();
  TokenizerFile& file = *read;
  JsonErrors errors(name);
  const JsonField root(*file.rest, errors);

  Normalizer normalizer = read_normalizer(root["normalizer"]);
  PreTokenizerSpec pre_tokenizer = read_pre_tokenizer(root["pre_tokenizer"]);
  Surround surround = read_post_processor(root["post_processor"]);
  DecoderSpec decoder_spec = read_decoder(root["decoder"]);
  std::vector<AddedToken> tokens = read_added_tokens(root["added_tokens"]);
  if (errors.first()) return *errors.first();

  set_patterns(tokens, normalizer, root["added_tokens"]);
  if (errors.first()) return *errors.first();
  StringIndex added_index = index_added_tokens(tokens, file.vocab, root["added_tokens"]);
  Words words = words_by_id(file.vocab, tokens, root);
  TokenDecoder decoder = build_decoder(std::move(decoder_spec), words, root["decoder"]);
  std::vector<bool> special = special_ids(tokens, words.text.size());
  check_surround(surround, words.exists, root["post_processor"]);
  const BpeOptions options = read_model_options(root["model"], file.vocab);
  MergeTable merges = build_merges(file.merges, file.vocab, errors);
  BpeModel model(std::move(file.vocab), std::move(merges), options, special);

  auto state = std::unique_ptr<State>(new State{.model = std::move(model),
                                                .added_index = std::move(added_index),
                                                .raw_tokens = {},
                                                .normalized_tokens = {},
                                                .normalizer = std::move(normalizer),
                                                .pre_tokenizer = std::move(pre_tokenizer),
                                                .surround = std::move(surround),
                                                .decoder = std::move(decoder),
                                                .exists = std::move(words.exists),
                                                .special = std::move(special)});
  if (errors.first()) return *errors.first();
  sort_added_tokens(tokens, *state);
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(state)));
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::load(const std::filesystem::path& path) {
  const std::string name = path.string();
  const auto fail = [&](const char* what) {
    return Error{ErrorCode::kInvalidRequest, name + ": " + what, name};
  };
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return fail("not a regular file");
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return fail("cannot be opened");
  const std::uintmax_t size = std::filesystem::file_size(path, ignored);
  if (ignored || size > kMaxTokenizerFileBytes) return fail("larger than 256 MiB");
  std::string text(static_cast<std::size_t>(size), '\0');
  if (!stream.read(text.data(), static_cast<std::streamsize>(size))) return fail("cannot be read");
  return parse(text, name);
}

}  // namespace quire::engine
