//! Metrics that are gathered when somebody asks for the page: counters kept in plain cells, and what is the case at that moment.
//!
//! A function writes the [`Page`]: it names each metric and gives its series in one place, so that nothing is declared and then forgotten.
//! What is written off the path of requests may use the metrics of the `prometheus` crate instead.

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use std::collections::HashMap;
use std::iter::zip;

/// Has `write` asked whenever the metrics of `registry` are gathered. All it writes carries `labels`, which tell it from the pages of its kind.
///
/// `write` runs once at once. The error is that a metric of this name and these labels is there already, or has a name that cannot be.
pub fn register(
    registry: &Registry,
    labels: &[(&str, &str)],
    write: impl Fn(&mut Page) + Send + Sync + 'static,
) -> Result<(), prometheus::Error> {
    let labels: Vec<_> = labels.iter().map(|(name, value)| pair(name, value)).collect();
    let mut page = Page::new(&labels);
    write(&mut page);
    let descs = page
        .families
        .iter()
        .zip(&page.names)
        .map(|(family, names)| describe(family, names, &labels));
    let descs = descs.collect::<Result<_, _>>()?;
    registry.register(Box::new(Pages { labels, descs, write }))
}

/// One answer: families of metrics, each with its series.
#[derive(Debug)]
pub struct Page {
    labels: Vec<LabelPair>,
    families: Vec<MetricFamily>,
    /// The names of the labels of each family that differ from series to series.
    names: Vec<Vec<String>>,
    constant: usize,
}

impl Page {
    fn new(labels: &[LabelPair]) -> Self {
        Self {
            labels: labels.to_vec(),
            families: Vec::new(),
            names: Vec::new(),
            constant: labels.len(),
        }
    }

    /// All that is written from here on carries this label too. Its name must be the same each time, its value may change.
    pub fn label(&mut self, name: &'static str, value: &str) {
        self.labels.push(pair(name, value));
    }

    /// Numbers that only grow, and begin at zero when the process starts.
    pub fn counter<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
    ) -> Series<'_, N> {
        self.family(MetricType::COUNTER, name, help, labels)
    }

    /// Numbers that are as they are now.
    pub fn gauge<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&'static str; N],
    ) -> Series<'_, N> {
        self.family(MetricType::GAUGE, name, help, labels)
    }

    /// Observations by size; `bounds` are the upper bounds of the buckets, ascending.
    pub fn histogram<const N: usize>(
        &mut self,
        (name, help): (&str, &str),
        labels: [&'static str; N],
        bounds: &'static [f64],
    ) -> Histograms<'_, N> {
        Histograms { series: self.family(MetricType::HISTOGRAM, name, help, labels), bounds }
    }

    fn family<const N: usize>(
        &mut self,
        kind: MetricType,
        name: &str,
        help: &str,
        labels: [&'static str; N],
    ) -> Series<'_, N> {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        let Self { labels: common, families, names, constant } = self;
        let varying = common.iter().skip(*constant).map(LabelPair::name);
        names.push(varying.chain(labels).map(str::to_owned).collect());
        Series { common, labels, kind, family: families.push_mut(family) }
    }
}

/// The series of a counter or a gauge.
#[derive(Debug)]
pub struct Series<'a, const N: usize> {
    common: &'a [LabelPair],
    labels: [&'static str; N],
    kind: MetricType,
    family: &'a mut MetricFamily,
}

impl<const N: usize> Series<'_, N> {
    /// Adds the series with these label values.
    pub fn put(&mut self, values: [&str; N], number: u64) -> &mut Self {
        self.put_real(values, number as f64)
    }

    /// As [`Self::put`], for what is no whole number.
    pub fn put_real(&mut self, values: [&str; N], number: f64) -> &mut Self {
        let mut metric = Metric::default();
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(number);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(number);
            metric.set_gauge(gauge);
        }
        self.push(values, metric);
        self
    }

    fn push(&mut self, values: [&str; N], mut metric: Metric) {
        let own = zip(self.labels, values).map(|(name, value)| pair(name, value));
        metric.set_label(self.common.iter().cloned().chain(own).collect());
        self.family.mut_metric().push(metric);
    }
}

/// The series of a histogram.
#[derive(Debug)]
pub struct Histograms<'a, const N: usize> {
    series: Series<'a, N>,
    bounds: &'static [f64],
}

impl<const N: usize> Histograms<'_, N> {
    /// Adds the series with these label values. `counts` has one number for each bound, not cumulative, and one more for what is above all;
    /// `sum` is in the unit of the bounds.
    pub fn put(
        &mut self,
        values: [&str; N],
        counts: impl IntoIterator<Item = u64>,
        sum: f64,
    ) -> &mut Self {
        let mut counts = counts.into_iter();
        let mut cumulative = 0;
        let mut buckets = Vec::with_capacity(self.bounds.len());
        for (&bound, count) in zip(self.bounds, counts.by_ref()) {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(cumulative);
            buckets.push(bucket);
        }
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(cumulative + counts.sum::<u64>());
        histogram.set_sample_sum(sum);
        let mut metric = Metric::default();
        metric.set_histogram(histogram);
        self.series.push(values, metric);
        self
    }
}

struct Pages<F> {
    labels: Vec<LabelPair>,
    descs: Vec<Desc>,
    write: F,
}

impl<F: Fn(&mut Page) + Send + Sync> Collector for Pages<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut page = Page::new(&self.labels);
        (self.write)(&mut page);
        page.families
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn describe(
    family: &MetricFamily,
    names: &[String],
    constant: &[LabelPair],
) -> Result<Desc, prometheus::Error> {
    let constant = constant.iter().map(|label| (label.name().to_owned(), label.value().to_owned()));
    Desc::new(
        family.name().to_owned(),
        family.help().to_owned(),
        names.to_vec(),
        constant.collect::<HashMap<_, _>>(),
    )
}

#[cfg(test)]
mod tests;
