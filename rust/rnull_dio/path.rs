// SPDX-License-Identifier: GPL-2.0

//! Paths that users write into attributes.

use kernel::{
    fmt,
    prelude::*,
    str::CString, //
};

/// Returns a path with just these bytes, which may be any but NUL.
///
/// # Errors
///
/// `EINVAL` if there is a NUL, `ENOMEM`.
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<CString> {
    let mut with_nul = KVec::with_capacity(bytes.len() + 1, GFP_KERNEL)?;
    with_nul.extend_from_slice(bytes, GFP_KERNEL)?;
    with_nul.push(0, GFP_KERNEL)?;
    let path = CStr::from_bytes_with_nul(&with_nul).map_err(|_| EINVAL)?;
    Ok(path.try_into()?)
}

/// Writes a path: as it is if it is UTF-8, otherwise with escapes.
pub(crate) fn show(path: &CStr, f: &mut dyn fmt::Write) -> fmt::Result {
    match path.to_str() {
        Ok(text) => f.write_str(text),
        Err(_) => f.write_fmt(fmt!("{path}")),
    }
}

#[kunit_tests(rnull_dio_path)]
mod tests {
    use super::*;
    use kernel::str::Formatter;

    #[test]
    fn paths_keep_their_bytes() -> Result {
        for (bytes, shown) in [
            (&b""[..], &b""[..]),
            (b"/a file", b"/a file"),
            ("/\u{fc}ber".as_bytes(), "/\u{fc}ber".as_bytes()),
            (b"/\xff", b"/\\xff"),
        ] {
            let path = from_bytes(bytes)?;
            assert_eq!(path.to_bytes(), bytes);
            let mut buf = [0; 16];
            let mut f = Formatter::new(&mut buf);
            show(&path, &mut f)?;
            let len = f.bytes_written();
            assert_eq!(&buf[..len], shown);
        }
        assert_eq!(from_bytes(b"/a\0b").map(|_| ()), Err(EINVAL));
        Ok(())
    }
}
