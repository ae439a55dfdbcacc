// SPDX-License-Identifier: GPL-2.0

//! Enums whose variants have names.

use kernel::prelude::*;

/// An enum whose variants have names, declared by [`named_enum!`].
pub(crate) trait Named: Copy + 'static {
    /// All variants, in the order of their discriminants, which are those of an array.
    const ALL: &'static [Self];

    /// Returns the name of a variant.
    fn name(self) -> &'static str;

    /// Returns the index of a variant in [`Self::ALL`].
    fn index(self) -> usize;
}

/// Declares an enum that is [`Named`], and displayed as its name.
///
/// # Examples
///
/// ```
/// named_enum! {
///     /// How a request goes on.
///     pub(crate) enum Step {
///         /// It is sent.
///         Sent = "sent",
///         /// It has failed, and is sent again.
///         Retried = "sent again",
///     }
/// }
///
/// assert_eq!(Step::ALL.len(), 2);
/// assert_eq!(Step::Retried.name(), "sent again");
/// assert_eq!(Step::Retried.index(), 1);
/// ```
macro_rules! named_enum {
    (
        $(#[$attr:meta])*
        $vis:vis enum $name:ident {
            $($(#[$variant_attr:meta])* $variant:ident = $text:expr,)*
        }
    ) => {
        $(#[$attr])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        $vis enum $name {
            $($(#[$variant_attr])* $variant,)*
        }

        impl $crate::named::Named for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            #[inline]
            fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            #[inline]
            fn index(self) -> usize {
                // CAST: The discriminant, which is not negative.
                self as usize
            }
        }

        impl ::kernel::fmt::Display for $name {
            fn fmt(&self, f: &mut ::kernel::fmt::Formatter<'_>) -> ::kernel::fmt::Result {
                f.write_str($crate::named::Named::name(*self))
            }
        }
    };
}

pub(crate) use named_enum;

#[kunit_tests(rnull_dio_named)]
mod tests {
    use super::*;
    use kernel::{
        fmt::Write as _,
        str::Formatter, //
    };

    named_enum! {
        enum Size {
            Small = "small",
            Large = "rather large",
        }
    }

    #[test]
    fn variants_have_their_index_and_name() {
        assert_eq!(Size::ALL, &[Size::Small, Size::Large]);
        for (index, &(size, name)) in [(Size::Small, "small"), (Size::Large, "rather large")]
            .iter()
            .enumerate()
        {
            assert_eq!(size.index(), index);
            assert_eq!(size.name(), name);
        }
    }

    #[test]
    fn variants_are_displayed_as_their_names() -> Result {
        let mut buf = [0; 16];
        let mut f = Formatter::new(&mut buf);
        f.write_fmt(fmt!("{}", Size::Large))?;
        let len = f.bytes_written();
        assert_eq!(&buf[..len], b"rather large");
        Ok(())
    }
}
