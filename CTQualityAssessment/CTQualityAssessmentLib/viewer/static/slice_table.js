// One row per slice; the head sorts, a row jumps.
window.ctqaSliceTable = {
  props: { rows: Array, here: Number, palette: Array },
  emits: ["jump"],
  data: () => ({ column: 0, ascending: true }),
  computed: {
    columns: () => [["Slice", 0], ["Score", 1], ["Grade", 3], ["SD", 2], ["Novelty", 4]],
    sorted() {
      const sign = this.ascending ? 1 : -1, column = this.column === 3 ? 1 : this.column;
      // What has no value stands last, whichever way the rest is sorted.
      return [...this.rows].sort((a, b) => {
        const p = a[column], q = b[column];
        if (p === null || q === null) return (p === null) - (q === null) || a[0] - b[0];
        return sign * (p - q) || a[0] - b[0];
      });
    },
  },
  watch: { here() { this.$nextTick(this.follow); }, column() { this.$nextTick(this.follow); }, ascending() { this.$nextTick(this.follow); } },
  methods: {
    sort(column) {
      this.ascending = this.column === column ? !this.ascending : true;
      this.column = column;
    },
    follow() {
      const row = this.$el.querySelector("tr[aria-current]"), box = this.$el;
      if (!row) return;
      if (row.offsetTop - 30 < box.scrollTop) box.scrollTop = row.offsetTop - 30;
      if (row.offsetTop + row.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = row.offsetTop + row.offsetHeight - box.clientHeight;
    },
    number(value, digits) { return value === null ? "–" : value.toFixed(digits); },
  },
  template: `
  <div class="slices" tabindex="0" role="region" aria-label="Table of slices">
    <table>
      <thead><tr><th v-for="[title, column] in columns" :key="column" scope="col" :aria-sort="column === this.column ? (ascending ? 'ascending' : 'descending') : 'none'">
        <button type="button" @click="sort(column)">{{ title }}<span aria-hidden="true">{{ column === this.column ? (ascending ? ' ▲' : ' ▼') : '' }}</span></button></th></tr></thead>
      <tbody><tr v-for="row in sorted" :key="row[0]" :data-slice="row[0]" :aria-current="row[0] === here ? 'true' : null" :class="{ none: row[1] === null }" @click="$emit('jump', row[0])">
        <td><button type="button" :aria-label="'Show slice ' + row[0]" @click.stop="$emit('jump', row[0])">{{ row[0] }}</button></td>
        <template v-if="row[1] !== null">
          <td><span class="swatch" :style="{ background: palette[Math.round(row[1] * 5)] }"></span>{{ number(row[1], 1) }}</td>
          <td>{{ row[3] }}</td><td>{{ number(row[2], 2) }}</td><td>{{ number(row[4], 2) }}</td>
        </template>
        <td v-else colspan="4">No score: {{ row[5] }}</td>
      </tr></tbody>
    </table>
  </div>`,
};
