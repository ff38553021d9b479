#pragma once
// The lists of a chat request: messages, tools, documents, chat_template_kwargs. Inside this room.
//
// Each reader checks a field of the object and reports the first thing that is wrong with its path
// ("messages[2].content[0]"). Pure functions.

#include "proto/field_reader.h"
#include "proto/json_tree.h"

namespace quire::proto {

void check_messages(FieldReader& reader);
void check_tools(FieldReader& reader);
void check_documents(FieldReader& reader);
void check_template_kwargs(FieldReader& reader);

// Makes maps of the arguments of tool calls, which come as JSON in a string.
void open_arguments(JsonTree& messages);

}  // namespace quire::proto
