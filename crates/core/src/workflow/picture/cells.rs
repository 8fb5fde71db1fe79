//! Reading and writing tables without a way to panic.

/// A table whose cells can be read and written at any index: beyond its end every cell holds the default, and writing
/// does nothing. The layout makes all its indices itself, so neither ever happens; this only spares every reader of it
/// the question what would.
pub(super) trait Cells<T> {
    /// The value of a cell.
    fn at(&self, index: usize) -> T;
    /// Sets the value of a cell.
    fn put(&mut self, index: usize, value: T);
}

impl<T: Copy + Default> Cells<T> for [T] {
    fn at(&self, index: usize) -> T {
        self.get(index).copied().unwrap_or_default()
    }

    fn put(&mut self, index: usize, value: T) {
        if let Some(cell) = self.get_mut(index) {
            *cell = value;
        }
    }
}

impl<T: Copy + Default> Cells<T> for Vec<T> {
    fn at(&self, index: usize) -> T {
        self.as_slice().at(index)
    }

    fn put(&mut self, index: usize, value: T) {
        self.as_mut_slice().put(index, value);
    }
}

/// Appends to one of several lists; the same rule.
pub(super) fn push<T>(lists: &mut [Vec<T>], index: usize, value: T) {
    if let Some(list) = lists.get_mut(index) {
        list.push(value);
    }
}

/// One of several lists; an empty one beyond the end.
pub(super) fn list<T>(lists: &[Vec<T>], index: usize) -> &[T] {
    lists.get(index).map_or(&[], Vec::as_slice)
}
