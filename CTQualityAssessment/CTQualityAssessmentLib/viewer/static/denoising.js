// Less noise: with which network and how strongly, what it did to this volume, and the two pictures in one place.
window.ctqaDenoising = {
  props: { denoisers: Array, denoiser: String, denoised: Object, flipped: Boolean, layout: String, beside: Boolean, busy: Object, sending: [String, Number] },
  emits: ["ask", "save"],
  data: () => ({
    chosen: null, shares: [100, 100, 100], findings: false, scores: false,
    tissues: [["lung", "Lung"], ["soft", "Soft tissue"], ["bone", "Bone"]],
  }),
  computed: {
    name() { return this.chosen || (this.denoised && this.denoised.model) || this.denoiser; },
    card() { return this.denoisers.find((one) => one.name === this.name); },
    strength() { return this.shares.map((share) => share / 100); },
    examining() { return this.busy && this.busy.cancellable && this.denoised && !this.denoised.examined; },
  },
  watch: { denoised: { immediate: true, handler(now) { if (now) this.shares = now.strength.map((share) => Math.round(100 * share)); } } },
  methods: {
    denoise() { this.$emit("ask", "denoise", this.name, ...this.strength, this.findings, this.scores); },
    examine() { this.$emit("ask", "examine", this.findings, this.scores); },
    // A box is drawn over the image that it was found in.
    look(after, slice) {
      if (this.layout !== "compare" && !!after !== this.flipped) this.$emit("ask", "flip");
      this.$emit("ask", "jump", slice);
    },
    change() { if (this.denoised && !this.busy) this.$emit("ask", "strength", ...this.strength); },
  },
  template: `
  <div class="scroll denoising" data-test="denoising">
    <p v-if="!denoisers.length"><strong>No denoiser is installed.</strong> Install CTQualityAssessment again, or set CTQA_MODELS to a folder.</p>
    <template v-else>
      <p><label>Denoiser <select data-test="denoiser" :value="name" :disabled="!!busy" @change="chosen = $event.target.value"><option v-for="one in denoisers" :key="one.name" :value="one.name">{{ one.title }}</option></select></label></p>
      <p v-if="card" class="statement"><strong v-if="card.simulated">Simulated training.</strong> {{ card.statement }}</p>
      <fieldset><legend>Strength</legend>
        <label v-for="([name, title], n) in tissues" :key="name"><span>{{ title }}</span> <input type="range" min="0" max="100" step="5" :data-test="'strength-' + name" v-model.number="shares[n]" :disabled="!!busy" :aria-valuetext="shares[n] + ' percent'" @change="change"> <output>{{ shares[n] }} %</output></label></fieldset>
      <p v-if="card && card.detector"><label><input type="checkbox" data-test="findings" v-model="findings" :disabled="!!busy"> Boxes of the lesion detector, before and after</label></p>
      <p><label><input type="checkbox" data-test="scores" v-model="scores" :disabled="!!busy"> Scores before and after (slow)</label></p>
      <p><button type="button" :class="{ primary: !denoised }" data-test="denoise" :disabled="!!busy" @click="denoise">{{ denoised ? 'Denoise again' : 'Denoise' }}</button></p>
    </template>
    <section v-if="denoised" aria-label="Denoised volume" data-test="denoised">
      <h2>Denoised, {{ denoised.told }}</h2>
      <div class="looks">
        <button type="button" data-test="flip" :aria-pressed="flipped" :disabled="layout === 'compare'" title="Original or denoised, in one place (F)" @click="$emit('ask', 'flip')">{{ flipped ? 'Denoised in view' : 'Original in view' }} ⇄</button>
        <button type="button" data-test="beside" :aria-pressed="beside" :disabled="!!busy" @click="$emit('ask', beside ? 'uncompare' : 'beside')">Side by side</button></div>
      <p v-if="examining" class="quiet">Whether lesions survived is still being looked at.</p>
      <p v-else-if="!denoised.examined" class="partial" data-test="unexamined">Nobody has looked yet what this strength does to lesions. <button type="button" data-test="examine" :disabled="!!busy" @click="examine">Check now</button></p>
      <ul class="guard" data-test="guard"><li v-for="[sentence, flagged] in denoised.retention" :key="sentence" :class="{ flag: flagged }"><span v-if="flagged" aria-hidden="true">⚑ </span>{{ sentence }}</li></ul>
      <section v-if="denoised.findings" aria-label="Boxes of the lesion detector" data-test="boxes"><p>Boxes of the lesion detector (no diagnosis):</p>
        <p v-for="(side, n) in denoised.findings" :key="n" class="looks"><b>{{ side.length }} {{ n ? 'after, blue' : 'before, orange' }}</b>
          <button v-for="([slice, probability], m) in side" :key="m" type="button" :title="'Show slice ' + slice" @click="look(n, slice)">{{ slice }} <small>{{ probability }}</small></button></p></section>
      <table v-if="denoised.figures.length" class="figures" data-test="before-after"><thead><tr><th scope="col">Measure</th><th scope="col">Before</th><th scope="col">After</th></tr></thead>
        <tbody><tr v-for="[label, before, after] in denoised.figures" :key="label"><th scope="row">{{ label }}</th><td>{{ before }}</td><td>{{ after }}</td></tr>
        <tr v-if="denoised.scores"><th scope="row">Mean score <small>{{ denoised.scores[2] }}</small></th><td>{{ denoised.scores[0] }}</td><td>{{ denoised.scores[1] }}</td></tr></tbody></table>
      <table v-if="denoised.bias.length" class="figures" data-test="bias"><thead><tr><th scope="col">Tissue</th><th scope="col">Mean change</th></tr></thead>
        <tbody><tr v-for="[tissue, change] in denoised.bias" :key="tissue"><th scope="row">{{ tissue }}</th><td>{{ change }}</td></tr></tbody></table>
      <p v-for="text in denoised.warnings" :key="text" class="partial">{{ text }}</p>
      <p class="statement">{{ denoised.statement }}</p>
      <p class="looks"><button v-for="file in [denoised.file, 'denoising.json']" :key="file" type="button" :data-test="'save-' + file" :disabled="sending !== null" @click="$emit('save', file)">{{ sending === file ? 'Writing…' : 'Save ' + file }}</button></p>
      <dl class="wide"><template v-for="[label, value] in denoised.made" :key="label"><dt>{{ label }}</dt><dd>{{ value }}</dd></template></dl>
    </section>
    <template v-if="card && card.card"><h2>Model card</h2><pre tabindex="0">{{ card.card }}</pre></template>
  </div>`,
};
