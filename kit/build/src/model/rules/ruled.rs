use std::collections::HashSet;

use prost_reflect::{DescriptorPool, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor};

/// Which messages have rules, or may hold one that has.
pub(crate) struct Ruled {
    names: HashSet<String>,
    fields: Option<ExtensionDescriptor>,
    oneofs: Option<ExtensionDescriptor>,
    messages: Option<ExtensionDescriptor>,
}

impl Ruled {
    /// Those of all files: where a message is generated does not change what it has.
    pub(crate) fn new(pool: &DescriptorPool) -> Self {
        let extension = |name: &str| pool.get_extension_by_name(&format!("buf.validate.{name}"));
        let mut ruled = Self {
            names: HashSet::new(),
            fields: extension("field"),
            oneofs: extension("oneof"),
            messages: extension("message"),
        };
        if ruled.fields.is_none() {
            return ruled;
        }
        let messages: Vec<_> = pool.all_messages().collect();
        ruled.names = messages.iter().filter(|m| ruled.has_own(m)).map(|m| m.full_name().to_owned()).collect();
        // What holds a message with rules has rules, and so on outwards; recursive messages end it by adding nothing.
        loop {
            let before = ruled.names.len();
            for message in &messages {
                if message.fields().any(|field| ruled.holds(&field)) {
                    ruled.names.insert(message.full_name().to_owned());
                }
            }
            if ruled.names.len() == before {
                return ruled;
            }
        }
    }

    pub(crate) fn contains(&self, message: &str) -> bool {
        self.names.contains(message)
    }

    pub(super) fn of_fields(&self) -> Option<&ExtensionDescriptor> {
        self.fields.as_ref()
    }

    pub(super) fn of_oneofs(&self) -> Option<&ExtensionDescriptor> {
        self.oneofs.as_ref()
    }

    pub(super) fn of_messages(&self) -> Option<&ExtensionDescriptor> {
        self.messages.as_ref()
    }

    fn has_own(&self, message: &MessageDescriptor) -> bool {
        // Those of the descriptors are no rules for anybody's values.
        if message.full_name().starts_with("buf.validate.") || message.full_name().starts_with("google.protobuf.") {
            return false;
        }
        self.messages.as_ref().is_some_and(|extension| message.options().has_extension(extension))
            || message
                .oneofs()
                .any(|o| self.oneofs.as_ref().is_some_and(|extension| o.options().has_extension(extension)))
            || message
                .fields()
                .any(|f| self.fields.as_ref().is_some_and(|extension| f.options().has_extension(extension)))
    }

    fn holds(&self, field: &FieldDescriptor) -> bool {
        matches!(field.kind(), Kind::Message(held) if self.names.contains(held.full_name()))
    }
}
