//! Which routes answer at a path: what the native API and the dialects look theirs up in.

use hyper::Method;
use matchit::{Match, Params};

use crate::problem::Problem;

/// Places in a list of routes, by path.
pub struct PathTable(matchit::Router<Vec<usize>>);

impl PathTable {
    /// The table of a list's paths, in the list's order; a path can stand there once for each method.
    ///
    /// # Panics
    /// When two paths of the list contradict each other, which is seen at the first request.
    #[must_use]
    pub fn of<'p>(paths: impl IntoIterator<Item = &'p str>) -> Self {
        let mut places: Vec<(&str, Vec<usize>)> = Vec::new();
        for (place, path) in paths.into_iter().enumerate() {
            match places.iter_mut().find(|(known, _)| *known == path) {
                Some((_, places)) => places.push(place),
                None => places.push((path, vec![place])),
            }
        }
        let mut router = matchit::Router::new();
        for (path, places) in places {
            if let Err(error) = router.insert(path, places) {
                panic!("the routes contradict each other at {path}: {error}");
            }
        }
        Self(router)
    }

    /// The places of the routes at a path, and what stands in place of its `{…}`.
    ///
    /// # Errors
    /// [`Problem::NoRoute`].
    pub fn at<'t, 'p>(&'t self, path: &'p str) -> Result<Match<'t, 'p, &'t Vec<usize>>, Problem> {
        self.0.at(path).map_err(|_| Problem::NoRoute)
    }

    /// The route at a path that takes a method, and what stands in place of its `{…}`.
    ///
    /// # Errors
    /// [`Problem::NoRoute`], [`Problem::MethodNotAllowed`].
    pub fn find<'t, 'p, R>(
        &'t self, routes: &'t [R], method_of: impl Fn(&R) -> &Method, method: &Method, path: &'p str,
    ) -> Result<(&'t R, Params<'t, 'p>), Problem> {
        let matched = self.at(path)?;
        let there = matched.value.iter().map(|place| &routes[*place]);
        match there.clone().find(|route| method_of(route) == method) {
            Some(route) => Ok((route, matched.params)),
            None => {
                let allow: Vec<&str> = there.map(|route| method_of(route).as_str()).collect();
                Err(Problem::MethodNotAllowed { allow: allow.join(", ") })
            }
        }
    }
}
