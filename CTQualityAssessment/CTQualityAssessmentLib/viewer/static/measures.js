// The physical measures: the volume's, and those of the slice in view.
window.ctqaMeasures = {
  props: { measured: Object, here: Number, busy: Boolean },
  emits: ["measure"],
  template: `
  <div class="scroll" data-test="measures">
    <p v-if="!measured">Noise, contrast, texture, sharpness, streaks and size by physics alone, without the network.</p>
    <p v-if="!measured"><button type="button" data-test="measure" title="Measure (M)" :disabled="busy" @click="$emit('measure')">Measure</button></p>
    <template v-else>
      <p v-if="measured.partial" class="partial">Partial: the measurement was cancelled; the slices that it did not reach are not in it.</p>
      <table class="figures">
        <thead><tr><th scope="col">Figure</th><th scope="col">Volume</th><th scope="col">Slice {{ here }}</th></tr></thead>
        <tbody><tr v-for="row in measured.rows" :key="row.label" :title="row.how">
          <th scope="row">{{ row.label }}<small v-if="row.more">{{ row.more }}</small></th><td>{{ row.value }}</td><td>{{ row.slices[here] }}</td></tr></tbody>
      </table>
      <table class="figures" v-if="measured.tissues.length">
        <thead><tr><th scope="col">Tissue</th><th scope="col">Mean HU</th><th scope="col">SD HU</th></tr></thead>
        <tbody><tr v-for="[name, mean, sd] in measured.tissues" :key="name"><th scope="row">{{ name }}</th><td>{{ mean }}</td><td>{{ sd }}</td></tr></tbody>
      </table>
      <p v-for="note in measured.notes" :key="note" class="quiet">{{ note }}</p>
      <p class="quiet">Rest the pointer on a figure to read what it means.</p>
      <p v-if="measured.partial"><button type="button" data-test="measure" :disabled="busy" @click="$emit('measure')">Measure again</button></p>
    </template>
  </div>`,
};
