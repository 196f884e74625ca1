//! The tests that a method owes, from `contrastive_graph::parts::owed`, and the numbers of the method inside.

use burn::tensor::Device;
use contrastive_graph::parts::owed;
use contrastive_graph::user_item::data::generate::{PlantedOptions, planted};
use contrastive_graph::user_item::method::{self, MethodConfig};
use contrastive_train::FitOptions;
use external_method::XSimGclConfig;

#[test]
fn it_resumes_has_slopes_as_gradients_and_names_settings() {
    let config = XSimGclConfig::new().with_dim(6);
    owed::resume_is_exact(&config, tempfile::tempdir().unwrap().path());
    owed::gradients_are_slopes(&config, 1);
    owed::settings_are_named(&[(config.clone().with_epsilon(-1.0), "epsilon"), (config.with_temperature(0.0), "temperature")]);
}

#[test]
fn it_is_the_method_of_the_crate() {
    let data = planted(&PlantedOptions { users: 60, items: 40, ..Default::default() }).unwrap().dataset;
    let options = FitOptions::new(&Device::default()).epochs(2).seed(3).progress(false);
    let outside = XSimGclConfig::new().with_dim(8).fit(&data, &options).unwrap();
    let inside = method::XSimGclConfig::new().with_dim(8).fit(&data, &options).unwrap();
    assert_eq!((outside.users, outside.items), (inside.users, inside.items));
}
