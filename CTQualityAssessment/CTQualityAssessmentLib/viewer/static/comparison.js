// What two volumes differ in, beside their pictures: in words, in numbers, and the window of the difference.
window.ctqaComparison = {
  props: { opened: Object, compared: Object, here: Number, span: Number, diverging: Array, busy: Boolean },
  emits: ["ask"],
  computed: {
    slice() { return this.compared.slices[this.here]; },
    spans() { return this.compared.denoised ? [10, 20, 50, 100] : [50, 100, 200, 500]; },
  },
  methods: { told(pair) { return `mean ${pair[0] > 0 ? "+" : ""}${pair[0].toFixed(1)} HU, SD ${pair[1].toFixed(1)} HU`; } },
  template: `
  <section class="comparison" aria-label="Comparison" data-test="comparison">
    <h2>{{ compared.denoised ? 'Denoised minus original' : 'Second minus first' }}</h2>
    <div class="scale"><div class="group" role="group" aria-label="Window of the difference">
      <button v-for="hu in spans" :key="hu" type="button" :aria-pressed="span === hu" :data-test="'span-' + hu" @click="$emit('ask', 'span', hu)">±{{ hu }}</button></div>
      <span class="ramp" role="img" :aria-label="'Colours from ' + -span + ' to ' + span + ' HU'"><span>−{{ span }}</span><i :style="{ background: 'linear-gradient(to right, ' + diverging.join(',') + ')' }"></i><span>+{{ span }} HU</span></span></div>
    <dl class="wide">
      <dt>Whole patient</dt><dd data-test="whole">{{ compared.whole ? told(compared.whole) : 'no patient in view' }}</dd>
      <dt>Slice {{ here }}</dt><dd data-test="slice-difference">{{ slice ? told(slice) : 'nothing to compare' }}</dd></dl>
    <p v-for="note in compared.notes" :key="note" class="partial" data-test="comparison-note">{{ note }}</p>
    <p v-if="compared.denoised" class="quiet">It must show noise and no anatomy.</p>
    <table class="figures" v-else-if="compared.facts.length">
      <thead><tr><th scope="col">Differs</th><th scope="col">First</th><th scope="col">Second</th></tr></thead>
      <tbody><tr v-for="[label, one, other] in compared.facts" :key="label"><th scope="row">{{ label }}</th><td>{{ one }}</td><td>{{ other }}</td></tr></tbody></table>
    <p v-else class="quiet">Size and acquisition are the same by the headers.</p>
    <p v-if="!compared.denoised" class="quiet">The patient is taken to lie where the headers say; nothing is registered.</p>
    <p><button v-if="!compared.denoised" type="button" data-test="swap" :disabled="busy" title="Make the second volume the first, for example to assess it" @click="$emit('ask', 'swap')">Swap</button>
      <button type="button" data-test="uncompare" :disabled="busy" @click="$emit('ask', 'uncompare')">End comparison</button></p>
  </section>`,
};
